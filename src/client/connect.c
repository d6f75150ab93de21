/* connect.c - CONNECT, CONNACK and AUTH: who we are, and what the server makes of it. */
#include "client/internal.h"

/* ---- CONNECT ------------------------------------------------------------------------------------------ */

struct hello {
    const struct midge_client_options *options;
    const struct midge_client_config *config;
};

uint16_t midge_client_receive_maximum(const struct midge_client_config *config)
{
    return config->receive_maximum ? config->receive_maximum : UINT16_MAX;
}

static void connect_props(struct midge_wr *w, const struct hello *h)
{
    const struct midge_client_options *o = h->options;
    if (o->session_expiry_s)
        midge_prop_number(w, PROP_SESSION_EXPIRY, o->session_expiry_s);
    if (midge_client_receive_maximum(h->config) != UINT16_MAX)
        midge_prop_number(w, PROP_RECEIVE_MAXIMUM, h->config->receive_maximum);
    if (h->config->packet_bytes)
        midge_prop_number(w, PROP_MAXIMUM_PACKET_SIZE, h->config->packet_bytes);
    if (h->config->alias_in)
        midge_prop_number(w, PROP_TOPIC_ALIAS_MAXIMUM, h->config->alias_in);
    if (o->request_response_info)
        midge_prop_number(w, PROP_REQUEST_RESPONSE, 1);
    if (o->no_problem_info)
        midge_prop_number(w, PROP_REQUEST_PROBLEM, 0);
    if (o->auth_method.data)
        midge_prop_string(w, PROP_AUTH_METHOD, o->auth_method);
    if (o->auth_data.data)
        midge_prop_string(w, PROP_AUTH_DATA, o->auth_data);
    for (size_t i = 0; i < o->user_property_count; i++)
        midge_prop_pair(w, PROP_USER, o->user_properties[i].name, o->user_properties[i].value);
}

static void will_props(struct midge_wr *w, const struct hello *h)
{
    const struct midge_publication *will = h->options->will;
    if (h->options->will_delay_s)
        midge_prop_number(w, PROP_WILL_DELAY, h->options->will_delay_s);
    if (will->has_expiry)
        midge_prop_number(w, PROP_MESSAGE_EXPIRY, will->expiry_s);
    midge_publication_props(w, will);
}

/* Both property sections, one behind the other. */
static void sections(struct midge_wr *w, const struct hello *h, uint32_t *first)
{
    connect_props(w, h);
    *first = w->total;
    if (h->options->will)
        will_props(w, h);
}

static bool options_ok(const struct midge_client_options *o)
{
    bool v5 = o->version == MIDGE_V50;
    if (o->version < MIDGE_V31 || o->version > (MIDGE_V5 ? MIDGE_V50 : MIDGE_V311))
        return false;
    if (!midge_text_ok(o->client_id) || !midge_text_ok(o->username) || o->password.len > MIDGE_TEXT_MAX ||
        !midge_text_ok(o->auth_method) || o->auth_data.len > MIDGE_TEXT_MAX)
        return false; /* [MQTT-3.1.3-4] [MQTT-3.1.3-12] */
    if (!v5 && o->password.data && !o->username.data)
        return false; /* [MQTT311-3.1.2-22] */
    if (!v5 && o->client_id.len == 0 && (!o->clean_start || o->version == MIDGE_V31))
        return false; /* [MQTT311-3.1.3-7] [V31-clientid] */
    if (o->auth_method.data ? !v5 : o->auth_data.data != NULL)
        return false; /* [U5-3.1.2.11.10-nomethod] */
    return !o->will || (midge_publication_ok(o->will) && o->will->payload.len <= MIDGE_TEXT_MAX);
}

static struct midge_connect to_connect(const struct midge_client_options *o, struct midge_slice props,
                                       uint32_t first)
{
    struct midge_connect p = {
        .version = o->version,
        .bridge = o->bridge && o->version != MIDGE_V50,
        .clean_start = o->clean_start,
        .has_username = o->username.data != NULL,
        .has_password = o->password.data != NULL,
        .keepalive_s = o->keepalive_s,
        .client_id = o->client_id,
        .username = o->username,
        .password = o->password,
        .props = { .section = midge_slice_of(props.data, first) },
    };
    if (!o->will)
        return p;
    p.has_will = true;
    p.will_qos = o->will->qos;
    p.will_retain = o->will->retain;
    p.will_topic = o->will->topic;
    p.will_payload = o->will->payload;
    p.will_props.section = midge_slice_of(props.data + first, props.len - first);
    return p;
}

static struct request *encode_hello(struct midge_client *c, const struct midge_client_options *o,
                                    struct midge_slice props, uint32_t first)
{
    struct midge_connect p = to_connect(o, props, first);
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    midge_encode_connect(&w, &p);
    struct request *r = midge_request_new(c, PK_CONNECT, w.total, NULL);
    if (!r)
        return NULL;
    midge_wr_init(&w, r->bytes, r->len, 0);
    midge_encode_connect(&w, &p);
    return r;
}

static struct request *hello(struct midge_client *c, const struct midge_client_options *o)
{
    struct hello h = { .options = o, .config = c->config };
    uint32_t first = 0;
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    if (MIDGE_V5) /* 3.x leaves them out */
        sections(&w, &h, &first);
    uint32_t size = w.total + 1; /* never nothing */
    uint8_t *props = midge_mem_alloc(&c->mem, size, MIDGE_TAG_CONTROL);
    if (!props)
        return NULL;
    midge_wr_init(&w, props, size, 0);
    if (MIDGE_V5)
        sections(&w, &h, &first);
    struct request *r = encode_hello(c, o, midge_slice_of(props, w.total), first);
    midge_mem_free(&c->mem, props, size, MIDGE_TAG_CONTROL);
    return r;
}

enum midge_err midge_client_connect(struct midge_client *c, const struct midge_client_options *options,
                                    midge_ms now)
{
    midge_client_touch(c, now);
    if (c->state != STATE_OFF || !options_ok(options))
        return MIDGE_ERR_INVALID;
    struct request *r = hello(c, options);
    if (!r)
        return MIDGE_ERR_NO_MEMORY;
    if (options->auth_method.data && !midge_client_slice_set(c, &c->auth_method, options->auth_method)) {
        midge_request_free(c, r);
        return MIDGE_ERR_NO_MEMORY;
    }
    midge_request_queue(c, r);
    c->state = STATE_HELLO;
    c->version = options->version;
    c->clean_start = options->clean_start;
    c->resume = options->resume;
    c->keepalive_s = options->keepalive_s;
    c->asked_expiry_s = options->version == MIDGE_V50 ? options->session_expiry_s
                        : options->clean_start        ? 0
                                                      : UINT32_MAX;
    c->due = c->config->connect_ms ? c->now + c->config->connect_ms : MIDGE_NEVER;
    return MIDGE_OK;
}

/* ---- CONNACK ------------------------------------------------------------------------------------------ */

static bool same_method(const struct midge_client *c, struct midge_slice method)
{
    return midge_slice_equal(c->auth_method, method); /* both may be absent [MQTT-4.12.0-5] [MQTT-4.12.0-6] */
}

static void forget(struct midge_client *c)
{
    c->qos2_count = 0;
    midge_outbox_forget(c);
}

static void take_limits(struct midge_client *c, const struct midge_connack *p)
{
    if (p->has_server_keep_alive)
        c->keepalive_s = p->server_keep_alive_s; /* [MQTT-3.1.2-21] [MQTT-3.2.2-21] */
    c->session_expiry_s = p->has_session_expiry ? p->session_expiry_s : c->asked_expiry_s;
    c->quota = p->receive_maximum; /* [MQTT-4.9.0-1] */
    uint32_t own = c->config->send_bytes, theirs = p->maximum_packet_size; /* 0 = no limit */
    c->maximum_packet_size = own && (!theirs || own < theirs) ? own : theirs;
    c->maximum_qos = p->maximum_qos;
    c->no_retain = p->no_retain;
    c->alias_out =
        p->topic_alias_maximum < c->config->alias_out ? p->topic_alias_maximum : c->config->alias_out;
}

static void tell_connack(struct midge_client *c, const struct midge_connack *p)
{
    struct midge_client_session session = {
        .session_present = p->session_present,
        .maximum_qos = p->maximum_qos,
        .retain = !p->no_retain,
        .wildcards = !p->no_wildcards,
        .subscription_ids = !p->no_subscription_ids,
        .shared = !p->no_shared,
        .keepalive_s = c->keepalive_s,
        .receive_maximum = p->receive_maximum,
        .topic_alias_maximum = p->topic_alias_maximum,
        .maximum_packet_size = p->maximum_packet_size,
        .session_expiry_s = c->session_expiry_s,
        .assigned_id = p->assigned_id,
        .response_info = p->response_info,
    };
    struct midge_client_event event = {
        .kind = p->reason == MIDGE_RC_SUCCESS ? MIDGE_CLIENT_CONNECTED : MIDGE_CLIENT_REFUSED,
        .reason = p->reason,
        .reason_string = p->reason_string,
        .server_reference = p->server_reference,
        .auth_data = p->auth_data,
        .session = &session,
    };
    midge_client_tell(c, &event);
}

enum midge_reason midge_client_on_connack(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    (void)first;
    struct midge_connack p;
    struct midge_props props;
    enum midge_reason rc = midge_decode_connack(body, c->version, &p, &props);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (p.reason != MIDGE_RC_SUCCESS) {
        tell_connack(c, &p);
        midge_client_end(c, p.reason, true);
        return MIDGE_RC_SUCCESS;
    }
    if (!same_method(c, p.auth_method))
        return MIDGE_RC_PROTOCOL_ERROR;
    if (p.session_present && (c->clean_start || !(c->has_session || c->resume)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.2.2-4] [MQTT-3.2.2-2] [MQTT311-3.2.2-1] */
    bool kept = p.session_present || (c->version == MIDGE_V31 && !c->clean_start); /* 3.1 does not say */
    if (!kept)
        forget(c); /* [MQTT-3.2.2-5] */
    if (c->state != STATE_HELLO)
        return MIDGE_RC_SUCCESS; /* the host said so while it was told */
    take_limits(c, &p);
    c->has_session = true;
    c->auth_asked = false;
    c->state = STATE_UP;
    tell_connack(c, &p);
    return MIDGE_RC_SUCCESS;
}

/* ---- AUTH ---------------------------------------------------------------------------------------------- */

enum midge_reason midge_client_on_auth(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    (void)first;
    struct midge_control p;
    enum midge_reason rc = midge_decode_control(PK_AUTH, body, c->version, false, &p);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    bool asks = p.reason == MIDGE_RC_CONTINUE_AUTHENTICATION;
    bool expected = c->state == STATE_HELLO ? asks : c->reauth; /* [MQTT-4.12.0-2] */
    if (!expected || !c->auth_method.data || !same_method(c, midge_props_text(&p.props, PROP_AUTH_METHOD)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-4.12.0-5] [MQTT-4.12.0-6] */
    c->auth_asked = asks;
    c->reauth = c->reauth && asks;
    struct midge_client_event event = {
        .kind = MIDGE_CLIENT_AUTH,
        .reason = p.reason,
        .auth_data = midge_props_text(&p.props, PROP_AUTH_DATA),
        .reason_string = midge_props_text(&p.props, PROP_REASON_STRING),
    };
    midge_client_tell(c, &event);
    return MIDGE_RC_SUCCESS;
}

enum midge_err midge_client_auth(struct midge_client *c, bool reauthenticate, struct midge_slice data)
{
    bool may = reauthenticate ? c->state == STATE_UP && !c->reauth : c->auth_asked;
    if (!may || !c->auth_method.data || data.len > MIDGE_TEXT_MAX)
        return MIDGE_ERR_INVALID; /* [MQTT-4.12.0-7] */
    struct midge_control_out p = {
        /* [MQTT-4.12.0-3] [MQTT-4.12.1-1] */
        .reason = reauthenticate ? MIDGE_RC_REAUTHENTICATE : MIDGE_RC_CONTINUE_AUTHENTICATION,
        .auth_method = c->auth_method,
        .auth_data = data,
    };
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    midge_encode_control(&w, PK_AUTH, c->version, &p);
    if (c->state == STATE_UP && c->maximum_packet_size && w.total > c->maximum_packet_size)
        return MIDGE_ERR_INVALID; /* [MQTT-3.2.2-15] */
    struct request *r = midge_request_new(c, PK_AUTH, w.total, NULL);
    if (!r)
        return MIDGE_ERR_NO_MEMORY;
    midge_wr_init(&w, r->bytes, r->len, 0);
    midge_encode_control(&w, PK_AUTH, c->version, &p);
    midge_request_queue(c, r);
    c->auth_asked = false;
    c->reauth = c->reauth || reauthenticate;
    return MIDGE_OK;
}
