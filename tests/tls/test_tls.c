/* test_tls.c - TLS as a layer, the same tests for each library (MIDGE_TEST_TLS): OpenSSL plays the client. */
#include "client.h"

#include "net/tls.h"

#define TLS (&MIDGE_TEST_TLS)
#define IS_OPENSSL (TLS == (void *)&midge_tls_openssl) /* also reads files, and has PSK in TLS 1.3 */
#ifndef MIDGE_TEST_TLS_1_3
#define MIDGE_TEST_TLS_1_3 IS_OPENSSL
#endif

static char why[256];

static struct midge_tls_options standard_options(void)
{
    return (struct midge_tls_options){ .certificate = certificate_bytes("server.pem"),
                                       .key = certificate_bytes("server.key") };
}

static struct midge_tls_options mutual_options(void)
{
    struct midge_tls_options o = standard_options();
    o.ca = certificate_bytes("ca.pem");
    o.require_certificate = true;
    return o;
}

static struct midge_tls *open_tls(const struct midge_tls_options *o)
{
    struct midge_tls *t = TLS->open(o, why, sizeof why);
    if (!t)
        fail_msg("%s", why);
    return t;
}

static void open_end(struct end *e, struct midge_tls *t)
{
    end_open(e);
    assert_true(midge_chain_push(&e->chain, TLS->layer(t)));
}

/* A connection through a listener of its own, which is gone afterwards: its layers live on. */
static void connect_to(struct client *c, struct end *e, const struct midge_tls_options *o)
{
    struct midge_tls *t = open_tls(o);
    open_end(e, t);
    TLS->close(t);
    client_connect(c);
    talk(c, e);
}

static void expect_in(struct client *c, struct end *e)
{
    if (e->chain.ended)
        fail_msg("%s", e->chain.why ? e->chain.why : "ended");
    assert_true(midge_chain_has_greeted(&e->chain));
    assert_false(c->failed);
    assert_int_equal(SSL_write(c->ssl, "hello", 5), 5);
    stream_add(&e->down, "welcome", 7);
    talk(c, e);
    assert_int_equal(e->up.len, 5);
    assert_memory_equal(e->up.bytes, "hello", 5);
    assert_int_equal(c->got.len, 7);
    assert_memory_equal(c->got.bytes, "welcome", 7);
}

static void expect_out(struct client *c, struct end *e)
{
    SSL_write(c->ssl, "hello", 5); /* in TLS 1.3 a client believes itself in before it is judged */
    talk(c, e);
    assert_true(e->chain.ended);
    assert_non_null(e->chain.why);
    assert_false(midge_chain_has_greeted(&e->chain));
    assert_int_equal(e->up.len, 0);
    assert_true(e->chain.bottom->done);
}

static void expect_identity(const struct end *e, bool whole, const char *name)
{
    struct midge_slice s = TLS->identity(e->chain.bottom, whole);
    if (name)
        assert_slice(s, name);
    else
        assert_null(s.data);
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

static void pour(struct client *c, struct end *e, size_t n)
{
    uint32_t seed = 9;
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)dice(&seed);
    talk(c, e);
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = n - at < 5000 ? n - at : 5000;
        assert_int_equal(SSL_write(c->ssl, bytes + at, (int)piece), (int)piece);
    }
    stream_add(&e->down, bytes, n);
    talk(c, e);
    assert_int_equal(e->up.len, n);
    assert_memory_equal(e->up.bytes, bytes, n);
    assert_int_equal(c->got.len, n);
    assert_memory_equal(c->got.bytes, bytes, n);
    free(bytes);
}

static void bytes_pass_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        size_t feed, room, bytes;
    } cuts[] = { { 0, 0, 300000 }, { 1, 0, 3000 }, { 7, 1, 3000 }, { 1000, 300, 100000 }, { 0, 95, 20000 } };
    const struct midge_tls_options o = standard_options();
    for (int version = TLS1_2_VERSION; version <= TLS1_2_VERSION + MIDGE_TEST_TLS_1_3; version++)
        for (size_t i = 0; i < COUNT(cuts); i++) {
            struct client c;
            struct end e;
            struct midge_tls *t = open_tls(&o);
            client_open(&c);
            client_version(&c, version);
            client_connect(&c);
            open_end(&e, t);
            TLS->close(t);
            e.feed_max = cuts[i].feed;
            e.room = cuts[i].room;
            pour(&c, &e, cuts[i].bytes);
            assert_int_equal(SSL_version(c.ssl), version);
            client_free(&c);
            end_free(&e);
        }
}

static void one_changed_bit_ends_it(void **state)
{
    (void)state;
    struct client c;
    struct end e;
    const struct midge_tls_options o = standard_options();
    client_open(&c);
    connect_to(&c, &e, &o);
    expect_in(&c, &e);
    e.up.len = 0;
    assert_int_equal(SSL_write(c.ssl, "hello", 5), 5);
    char *bytes;
    long n = BIO_get_mem_data(c.out, &bytes);
    bytes[n - 1] ^= 1;
    talk(&c, &e);
    assert_true(e.chain.ended);
    assert_non_null(e.chain.why);
    assert_int_equal(e.up.len, 0);
    client_free(&c);
    end_free(&e);
}

static void what_is_no_tls_is_answered_with_an_alert_and_ends(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct end e;
    const struct midge_tls_options o = standard_options();
    struct midge_tls *t = open_tls(&o);
    open_end(&e, t);
    end_feed(&e, request, sizeof request - 1);
    assert_true(e.chain.ended);
    assert_non_null(e.chain.why);
    end_pull(&e);
    assert_true(e.chain.bottom->done);
    assert_int_equal(e.up.len, 0);
    end_free(&e);
    TLS->close(t);
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    uint32_t seed = 3;
    const struct midge_tls_options o = standard_options();
    struct midge_tls *t = open_tls(&o);
    for (int round = 0; round < 40; round++) {
        struct client c;
        struct end e;
        client_open(&c);
        client_connect(&c);
        open_end(&e, t);
        e.feed_max = roll(&seed, 50);
        if (round % 2) {
            talk(&c, &e);
            assert_int_equal(SSL_write(c.ssl, "hello", 5), 5);
        } else {
            SSL_do_handshake(c.ssl);
        }
        char *bytes;
        long n = BIO_get_mem_data(c.out, &bytes);
        for (int k = 0; k < 3; k++)
            bytes[roll(&seed, (uint32_t)n)] ^= (char)(1 << roll(&seed, 8));
        talk(&c, &e);
        midge_chain_close(&e.chain);
        end_pull(&e);
        client_free(&c);
        end_free(&e);
    }
    TLS->close(t);
}

/* ---- goodbyes ------------------------------------------------------------------------------------------ */

static void who_closes_says_so(void **state)
{
    (void)state;
    struct client c;
    struct end e;
    const struct midge_tls_options o = standard_options();
    client_open(&c);
    connect_to(&c, &e, &o);
    expect_in(&c, &e);
    midge_chain_close(&e.chain);
    talk(&c, &e);
    assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN);
    assert_true(e.chain.bottom->done);
    client_free(&c);
    end_free(&e);
}

static void a_peers_goodbye_is_no_failure(void **state)
{
    (void)state;
    struct client c;
    struct end e;
    const struct midge_tls_options o = standard_options();
    client_open(&c);
    connect_to(&c, &e, &o);
    SSL_shutdown(c.ssl);
    talk(&c, &e);
    assert_true(e.chain.ended);
    assert_null(e.chain.why);
    assert_true(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN);
    client_free(&c);
    end_free(&e);
}

/* ---- versions, ALPN ------------------------------------------------------------------------------------ */

static bool can_connect(const struct midge_tls_options *o, int version)
{
    struct client c;
    struct end e;
    client_open(&c);
    SSL_CTX_set_security_level(c.ctx, 0); /* so that it would speak what nobody should */
    client_version(&c, version);
    connect_to(&c, &e, o);
    bool in = midge_chain_has_greeted(&e.chain);
    assert_int_equal(c.failed, !in);
    client_free(&c);
    end_free(&e);
    return in;
}

static void versions_are_what_the_options_say(void **state)
{
    (void)state;
    struct midge_tls_options o = standard_options();
    assert_false(can_connect(&o, TLS1_VERSION));
    assert_false(can_connect(&o, TLS1_1_VERSION));
    assert_true(can_connect(&o, TLS1_2_VERSION));
    assert_int_equal(can_connect(&o, TLS1_3_VERSION), MIDGE_TEST_TLS_1_3);
    o.version_max = MIDGE_TLS_1_2;
    assert_false(can_connect(&o, TLS1_3_VERSION));
    o.version_max = MIDGE_TLS_1_3;
    o.version_min = MIDGE_TLS_1_3;
    if (MIDGE_TEST_TLS_1_3)
        assert_false(can_connect(&o, TLS1_2_VERSION));
    o.version_max = MIDGE_TLS_1_2;
    assert_null(TLS->open(&o, why, sizeof why));
    assert_string_equal(why, "no TLS version is left");
}

static void alpn_is_chosen_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *served, *offered, *chosen; /* chosen NULL: refused */
    } rows[] = {
        { NULL, "\4mqtt", "mqtt" },
        { NULL, "\2h2\4mqtt", "mqtt" },
        { "mqtt,http/1.1", "\x08http/1.1", "http/1.1" },
        { NULL, "", "" },
        { NULL, "\2h2", NULL },
    };
    struct midge_tls_options o = standard_options();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client c;
        struct end e;
        client_open(&c);
        SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)rows[i].offered, (unsigned)strlen(rows[i].offered));
        o.alpn = rows[i].served;
        connect_to(&c, &e, &o);
        if (rows[i].chosen) {
            const unsigned char *name;
            unsigned n;
            expect_in(&c, &e);
            SSL_get0_alpn_selected(c.ssl, &name, &n);
            assert_slice(midge_slice_of(name, n), rows[i].chosen);
        } else {
            expect_out(&c, &e);
        }
        client_free(&c);
        end_free(&e);
    }
}

/* ---- certificates of clients --------------------------------------------------------------------------- */

static void visit(const struct midge_tls_options *o, const char *name, bool in)
{
    struct client c;
    struct end e;
    client_open(&c);
    if (name)
        client_certificate(&c, name);
    connect_to(&c, &e, o);
    if (in)
        expect_in(&c, &e);
    else
        expect_out(&c, &e);
    expect_identity(&e, false, in ? name : NULL);
    client_free(&c);
    end_free(&e);
}

static void a_certificate_of_the_ca_is_let_in_and_no_other(void **state)
{
    (void)state;
    struct midge_tls_options o = mutual_options();
    visit(&o, "alice", true);
    visit(&o, "mallory", true);
    visit(&o, NULL, false);
    visit(&o, "stranger", false);
    visit(&o, "expired", false);
    o.crl = certificate_bytes("crl.pem");
    visit(&o, "alice", true);
    visit(&o, "mallory", false);
}

static void a_certificate_names_its_bearer(void **state)
{
    (void)state;
    struct client c;
    struct end e;
    const struct midge_tls_options o = mutual_options();
    client_open(&c);
    client_certificate(&c, "alice");
    connect_to(&c, &e, &o);
    expect_in(&c, &e);
    expect_identity(&e, false, "alice");
    expect_identity(&e, true, "O=Midge,CN=alice");
    client_free(&c);
    end_free(&e);
}

static void a_certificate_that_nobody_asked_for_names_nobody(void **state)
{
    (void)state;
    struct client c;
    struct end e;
    struct midge_tls_options o = standard_options();
    o.ca = certificate_bytes("ca.pem");
    client_open(&c);
    client_certificate(&c, "alice");
    connect_to(&c, &e, &o);
    expect_in(&c, &e);
    expect_identity(&e, false, NULL);
    expect_identity(&e, true, NULL);
    client_free(&c);
    end_free(&e);
}

/* ---- resumption ---------------------------------------------------------------------------------------- */

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* Whether the session that was kept is taken up again. */
static bool resumes(struct client *c, struct midge_tls *t)
{
    struct end e;
    open_end(&e, t);
    client_connect(c);
    if (kept)
        SSL_set_session(c->ssl, kept);
    talk(c, &e);
    expect_in(c, &e);
    expect_identity(&e, false, "alice");
    bool reused = SSL_session_reused(c->ssl);
    end_free(&e);
    return reused;
}

static void sessions_are_resumed_until_the_listener_is_renewed(void **state)
{
    (void)state;
    const bool tickets_keep_names = IS_OPENSSL || !MIDGE_TEST_TLS_1_3; /* mbedTLS with 1.3 is given none */
    struct client c;
    struct midge_tls_options o = mutual_options();
    for (int version = TLS1_2_VERSION; version <= TLS1_2_VERSION + MIDGE_TEST_TLS_1_3; version++) {
        struct midge_tls *t = open_tls(&o);
        client_open(&c);
        client_version(&c, version);
        client_certificate(&c, "alice");
        SSL_CTX_set_session_cache_mode(c.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c.ctx, keep_session);
        assert_false(resumes(&c, t));
        assert_int_equal(resumes(&c, t), tickets_keep_names);
        TLS->close(t);
        t = open_tls(&o); /* what a certificate was good for before may be revoked now */
        assert_false(resumes(&c, t));
        TLS->close(t);
        o.no_tickets = true;
        t = open_tls(&o);
        assert_false(resumes(&c, t));
        assert_false(resumes(&c, t));
        TLS->close(t);
        o.no_tickets = false;
        client_free(&c);
        SSL_SESSION_free(kept);
        kept = NULL;
    }
}

static void what_is_connected_outlives_a_renewal(void **state)
{
    (void)state;
    struct client before, after;
    struct end e, f;
    struct midge_tls_options o = standard_options();
    client_open(&before);
    client_open(&after);
    connect_to(&before, &e, &o);
    o.certificate = certificate_bytes("renewed.pem");
    o.key = certificate_bytes("renewed.key");
    connect_to(&after, &f, &o);
    expect_in(&before, &e);
    expect_in(&after, &f);
    char name[64];
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(after.ssl)), NID_organizationName, name,
                              sizeof name);
    assert_string_equal(name, "Renewed");
    client_free(&before);
    client_free(&after);
    end_free(&e);
    end_free(&f);
}

/* ---- pre-shared keys ----------------------------------------------------------------------------------- */

static uint32_t find_key(void *user, const char *identity, uint8_t *key, uint32_t size)
{
    (void)user;
    if (strcmp(identity, "sensor") != 0 || size < 16)
        return 0;
    memset(key, 0x42, 16);
    return 16;
}

static const char *psk_name;
static uint8_t psk_byte;

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max, unsigned char *key,
                         unsigned key_max)
{
    (void)ssl;
    (void)hint;
    snprintf(identity, identity_max, "%s", psk_name);
    assert_true(key_max >= 16);
    memset(key, psk_byte, 16);
    return 16;
}

static void visit_by_psk(const struct midge_tls_options *o, int version, const char *name, uint8_t byte, bool in)
{
    struct client c;
    struct end e;
    psk_name = name;
    psk_byte = byte;
    client_open(&c);
    client_version(&c, version);
    SSL_CTX_set_cipher_list(c.ctx, "PSK");
    SSL_CTX_set_psk_client_callback(c.ctx, give_psk);
    connect_to(&c, &e, o);
    if (in)
        expect_in(&c, &e);
    else
        expect_out(&c, &e);
    expect_identity(&e, false, in ? name : NULL);
    expect_identity(&e, true, in ? name : NULL);
    client_free(&c);
    end_free(&e);
}

static void who_has_the_key_is_let_in(void **state)
{
    (void)state;
    const struct midge_tls_options o = { .psk = find_key };
    for (int version = TLS1_2_VERSION; version <= TLS1_2_VERSION + IS_OPENSSL; version++) {
        visit_by_psk(&o, version, "sensor", 0x42, true);
        visit_by_psk(&o, version, "sensor", 0x43, false);
        visit_by_psk(&o, version, "nobody", 0x42, false);
    }
}

/* TLS 1.3: an identity is offered with a cipher that its key is not for, and the handshake goes on by certificate. */
static int offer_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len, SSL_SESSION **session)
{
    static const unsigned char key[16] = { 1 }; /* not the right one, even */
    static const unsigned char aes_256_gcm_sha384[] = { 0x13, 0x02 };
    (void)md;
    *session = SSL_SESSION_new();
    SSL_SESSION_set1_master_key(*session, key, sizeof key);
    SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, aes_256_gcm_sha384));
    SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
    *id = (const unsigned char *)"sensor";
    *id_len = 6;
    return 1;
}

static void an_identity_that_was_not_proven_names_nobody(void **state)
{
    (void)state;
    if (!IS_OPENSSL)
        skip();
    struct client c;
    struct end e;
    struct midge_tls_options o = standard_options();
    o.psk = find_key;
    client_open(&c);
    client_version(&c, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(c.ctx, "TLS_AES_256_GCM_SHA384");
    SSL_CTX_set_psk_use_session_callback(c.ctx, offer_psk);
    connect_to(&c, &e, &o);
    expect_in(&c, &e);
    expect_identity(&e, false, NULL);
    client_free(&c);
    end_free(&e);
}

/* ---- options that cannot be ---------------------------------------------------------------------------- */

static void expect_refusal(const struct midge_tls_options *o, const char *text)
{
    why[0] = '\0';
    assert_null(TLS->open(o, why, sizeof why));
    if (!strstr(why, text))
        fail_msg("'%s' does not say '%s'", why, text);
}

static void what_cannot_be_served_is_said(void **state)
{
    (void)state;
    const struct midge_slice junk = midge_slice_str("junk");
    struct midge_tls_options o = { .key_password = NULL };
    expect_refusal(&o, "TLS needs a certificate and its key, or pre-shared keys");
    o.key = certificate_bytes("server.key");
    expect_refusal(&o, "a key without its certificate");
    o.certificate = certificate_bytes("server.pem");
    o.key.data = NULL;
    expect_refusal(&o, "a certificate without its key");
    o.key = junk;
    expect_refusal(&o, "cannot use key");
    o.key = certificate_bytes("locked.key");
    expect_refusal(&o, "cannot use key");
    o.key_password = "wrong";
    expect_refusal(&o, "cannot use key");
    if (IS_OPENSSL) {
        o.key = certificate_bytes("alice.key");
        expect_refusal(&o, "cannot use key");
    }
    o.certificate = junk;
    expect_refusal(&o, "cannot use certificate");

    o = mutual_options();
    o.ca = junk;
    expect_refusal(&o, "cannot use CA");
    o = mutual_options();
    o.crl = junk;
    expect_refusal(&o, "cannot use CRL");
    o.crl.data = o.ca.data = NULL;
    expect_refusal(&o, "without a CA");
    o.require_certificate = false;
    o.crl = certificate_bytes("crl.pem");
    expect_refusal(&o, "without its CA");
    o = standard_options();
    o.alpn = "much-too-long-a-name-for-a-protocol,and-another-one-that-is-just-as-long";
    expect_refusal(&o, "ALPN");
}

static void expect_served(const struct midge_tls_options *o)
{
    struct client c;
    struct end e;
    client_open(&c);
    connect_to(&c, &e, o);
    expect_in(&c, &e);
    client_free(&c);
    end_free(&e);
}

static void keys_may_be_der_or_behind_a_password(void **state)
{
    (void)state;
    struct midge_tls_options o = standard_options();
    o.key = certificate_bytes("locked.key");
    o.key_password = "secret";
    expect_served(&o);
    o.key = certificate_bytes("server-key.der");
    o.certificate = certificate_bytes("server.der");
    o.key_password = NULL;
    expect_served(&o);
}

static void files_are_read_where_there_are_files(void **state)
{
    (void)state;
    struct midge_tls_options o = { .certificate_file = certificate_path("server.pem"),
                                   .key_file = certificate_path("server.key") };
    if (!IS_OPENSSL) {
        expect_refusal(&o, "from memory only");
        return;
    }
    expect_served(&o);
    o.ca_file = certificate_path("ca.pem");
    o.crl_file = certificate_path("crl.pem");
    o.require_certificate = true;
    visit(&o, "alice", true);
    visit(&o, "mallory", false);
    o.ca_file = "/nowhere";
    expect_refusal(&o, "cannot use CA '/nowhere': no such file");
    o.key_file = "/nowhere";
    expect_refusal(&o, "cannot use key '/nowhere': no such file");
    o.certificate_file = "/nowhere";
    expect_refusal(&o, "cannot use certificate '/nowhere': no such file");
    o = (struct midge_tls_options){ .psk = find_key, .ciphers = "nonsense" };
    expect_refusal(&o, "no such ciphers 'nonsense'");
    o.ciphers = NULL;
    o.ciphers_1_3 = "nonsense";
    expect_refusal(&o, "no such TLS 1.3 ciphers 'nonsense'");
    o.ciphers_1_3 = NULL;
    o.groups = "nonsense";
    expect_refusal(&o, "no such groups 'nonsense'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_however_they_are_cut),
        cmocka_unit_test(one_changed_bit_ends_it),
        cmocka_unit_test(what_is_no_tls_is_answered_with_an_alert_and_ends),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(who_closes_says_so),
        cmocka_unit_test(a_peers_goodbye_is_no_failure),
        cmocka_unit_test(versions_are_what_the_options_say),
        cmocka_unit_test(alpn_is_chosen_or_refused),
        cmocka_unit_test(a_certificate_of_the_ca_is_let_in_and_no_other),
        cmocka_unit_test(a_certificate_names_its_bearer),
        cmocka_unit_test(a_certificate_that_nobody_asked_for_names_nobody),
        cmocka_unit_test(sessions_are_resumed_until_the_listener_is_renewed),
        cmocka_unit_test(what_is_connected_outlives_a_renewal),
        cmocka_unit_test(who_has_the_key_is_let_in),
        cmocka_unit_test(an_identity_that_was_not_proven_names_nobody),
        cmocka_unit_test(what_cannot_be_served_is_said),
        cmocka_unit_test(keys_may_be_der_or_behind_a_password),
        cmocka_unit_test(files_are_read_where_there_are_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
