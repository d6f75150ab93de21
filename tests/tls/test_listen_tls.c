/* test_listen_tls.c - TLS listeners of the posix port, with real sockets: wss, one port for all, identities, renewal,
 * and strangers who begin and do not end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include "visit.h"

#include <errno.h>

static const struct midge_loop_config with_tls = { .tls = &midge_tls_openssl };

static struct midge_tls_options server_files(void)
{
    return (struct midge_tls_options){ .certificate_file = certificate_path("server.pem"),
                                       .key_file = certificate_path("server.key") };
}

/* A blocking TLS connection; NULL: the handshake failed. */
static SSL *tls_open(struct client *c, uint16_t port, int *fd)
{
    *fd = peer_open(port);
    SSL *ssl = SSL_new(c->ctx);
    SSL_set_fd(ssl, *fd);
    SSL_set1_host(ssl, "localhost");
    if (SSL_connect(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    close(*fd);
    return NULL;
}

static void tls_close(SSL *ssl, int fd)
{
    SSL_free(ssl);
    close(fd);
}

static void tls_send(SSL *ssl, const void *bytes, size_t n)
{
    assert_int_equal(SSL_write(ssl, bytes, (int)n), (int)n);
}
#define TLS_SEND(ssl, literal) tls_send(ssl, literal, sizeof(literal) - 1)

static void tls_expect(SSL *ssl, const void *bytes, size_t n)
{
    uint8_t got[256];
    size_t have = 0;
    assert_true(n <= sizeof got);
    while (have < n) {
        int more = SSL_read(ssl, got + have, (int)(n - have));
        assert_true(more > 0);
        have += (size_t)more;
    }
    assert_memory_equal(got, bytes, n);
}
#define TLS_EXPECT(ssl, literal) tls_expect(ssl, literal, sizeof(literal) - 1)

/* Close_notify and an orderly end. */
static void tls_expect_end(SSL *ssl)
{
    char byte;
    assert_int_equal(SSL_get_error(ssl, SSL_read(ssl, &byte, 1)), SSL_ERROR_ZERO_RETURN);
}

static void expect_mqtt(SSL *ssl)
{
    TLS_SEND(ssl, CONNECT_A);
    TLS_EXPECT(ssl, CONNACK);
}

#define UPGRADE                                                                                              \
    "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                           \
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
#define ACCEPTED                                                                                             \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

static void expect_websocket(SSL *ssl)
{
    TLS_SEND(ssl, UPGRADE);
    TLS_EXPECT(ssl, ACCEPTED);
    TLS_SEND(ssl, "\x82\x8f\0\0\0\0" CONNECT_A);
    TLS_EXPECT(ssl, "\x82\4" CONNACK);
}

static void start(struct house *h, uint8_t transport)
{
    house_open(h, &with_tls);
    house_listen(h, (struct midge_listen){ .transport = transport, .tls = server_files() });
    house_run(h);
}

static void mqtt_in_tls(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    int fd;
    start(&h, MIDGE_TRANSPORT_TLS);
    client_open(&c);
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_mqtt(ssl);
    assert_string_equal(h.identity, "");
    TLS_SEND(ssl, "\xe0\0");
    tls_expect_end(ssl);
    tls_close(ssl, fd);
    client_free(&c);
    house_close(&h);
}

static void mqtt_in_websocket_in_tls(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    int fd;
    start(&h, MIDGE_TRANSPORT_WSS);
    client_open(&c);
    SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)"\x08http/1.1", 9);
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_websocket(ssl);
    TLS_SEND(ssl, "\x82\x82\0\0\0\0\xe0\0");
    TLS_EXPECT(ssl, "\x88\2\x03\xe8");
    tls_expect_end(ssl);
    tls_close(ssl, fd);
    client_free(&c);
    house_close(&h);
}

static void one_port_for_all_of_them(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    int fd;
    start(&h, MIDGE_TRANSPORT_ANY);
    client_open(&c);
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_mqtt(ssl);
    tls_close(ssl, fd);
    ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_websocket(ssl);
    tls_close(ssl, fd);
    close(peer_client(h.r.port, 'a'));
    fd = peer_open(h.r.port);
    SEND(fd, UPGRADE);
    EXPECT(fd, ACCEPTED);
    close(fd);
    client_free(&c);
    house_close(&h);
}

/* 3 MB through a subscriber that reads late. */
static void much_goes_through(void **state)
{
    (void)state;
    enum { MESSAGES = 60, PAYLOAD = 50000 };
    static uint8_t packet[4 + 2 + 1 + 2 + PAYLOAD] = "\x32\xd5\x86\x03\0\1t\0\1", got[4 + 2 + 1 + PAYLOAD];
    struct house h;
    struct client c;
    int fd;
    start(&h, MIDGE_TRANSPORT_ANY);
    client_open(&c);
    SSL *sub = tls_open(&c, h.r.port, &fd);
    assert_non_null(sub);
    expect_mqtt(sub);
    TLS_SEND(sub, "\x82\x06\0\1\0\1t\0");
    TLS_EXPECT(sub, "\x90\x03\0\1\0");
    int pub = peer_client(h.r.port, 'p');
    for (int i = 0; i < MESSAGES; i++) {
        memset(packet + 9, 'A' + i % 26, PAYLOAD);
        peer_send(pub, packet, sizeof packet);
        EXPECT(pub, "\x40\x02\0\1");
    }
    for (int i = 0; i < MESSAGES; i++) {
        for (size_t have = 0; have < sizeof got;) {
            int more = SSL_read(sub, got + have, (int)(sizeof got - have));
            assert_true(more > 0);
            have += (size_t)more;
        }
        assert_memory_equal(got, "\x30\xd3\x86\x03\0\1t", 7);
        for (size_t j = 7; j < sizeof got; j++)
            assert_int_equal(got[j], 'A' + i % 26);
    }
    close(pub);
    tls_close(sub, fd);
    client_free(&c);
    house_close(&h);
}

static void identity_is_what_the_listener_wants(void **state)
{
    (void)state;
    static const struct {
        uint8_t wanted;
        const char *name;
    } rows[] = { { MIDGE_IDENTITY_NONE, "" },
                 { MIDGE_IDENTITY_CN, "alice" },
                 { MIDGE_IDENTITY_SUBJECT, "O=Midge,CN=alice" } };
    struct midge_listen what = { .transport = MIDGE_TRANSPORT_TLS, .tls = server_files() };
    what.tls.ca_file = certificate_path("ca.pem");
    what.tls.require_certificate = true;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct house h;
        struct client c;
        int fd;
        house_open(&h, &with_tls);
        what.identity = rows[i].wanted;
        house_listen(&h, what);
        house_run(&h);
        client_open(&c);
        client_certificate(&c, "alice");
        SSL *ssl = tls_open(&c, h.r.port, &fd);
        assert_non_null(ssl);
        expect_mqtt(ssl);
        assert_string_equal(h.identity, rows[i].name);
        tls_close(ssl, fd);
        client_free(&c);
        house_close(&h);
    }
}

static const char *serving(struct client *c, uint16_t port)
{
    static char name[64];
    int fd;
    SSL *ssl = tls_open(c, port, &fd);
    assert_non_null(ssl);
    int n = X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)), NID_organizationName,
                                      name, sizeof name);
    tls_close(ssl, fd);
    return n < 0 ? "" : name;
}

static void certificates_are_renewed_under_those_who_are_in(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    int fd;
    struct midge_listen what = { .transport = MIDGE_TRANSPORT_TLS, .tls = server_files() };
    house_open(&h, &with_tls);
    struct midge_listener *l = house_listen(&h, what);
    house_run(&h);
    client_open(&c);
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_mqtt(ssl);
    assert_string_equal(serving(&c, h.r.port), "");

    what.tls.certificate_file = certificate_path("renewed.pem");
    const char *why = house_renew(&h, l, what); /* with the old key: all stays as it was */
    assert_non_null(strstr(why, "cannot use key"));
    assert_string_equal(serving(&c, h.r.port), "");
    what.tls.key_file = certificate_path("renewed.key");
    assert_string_equal(house_renew(&h, l, what), "");
    assert_string_equal(serving(&c, h.r.port), "Renewed");
    TLS_SEND(ssl, "\xc0\0");
    TLS_EXPECT(ssl, "\xd0\0");
    tls_close(ssl, fd);
    client_free(&c);
    house_close(&h);
}

/* ---- pre-shared keys, from a file ---------------------------------------------------------------------- */

static const char *psk_identity;

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_max, unsigned char *key,
                         unsigned key_max)
{
    (void)ssl;
    (void)hint;
    (void)key_max;
    snprintf(identity, identity_max, "%s", psk_identity);
    memcpy(key, "\xde\xad\xbe\xef", 4);
    return 4;
}

static void write_file(const char *path, const char *text_of_it)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text_of_it, file);
    fclose(file);
}

static void a_file_of_keys_is_read_and_read_again(void **state)
{
    (void)state;
    char path[] = "/tmp/midge-psk-XXXXXX", why[256];
    struct house h;
    struct client c;
    int fd = mkstemp(path);
    close(fd);
    struct midge_listen what = { .transport = MIDGE_TRANSPORT_TLS, .identity = MIDGE_IDENTITY_CN };
    what.tls.psk_file = path;
    house_open(&h, &with_tls);

    write_file(path, "# keys\nsensor:deadbeef\nwrong:xyz\n");
    assert_int_equal(midge_loop_open(h.r.loop, &what, NULL, why, sizeof why), EPROTO);
    assert_non_null(strstr(why, ", line 3: it is not identity:hexadecimal-key"));
    write_file(path, "# keys\nzeta:00\nsensor:DEADbeef\n\nalpha:11\n");
    struct midge_listener *l = house_listen(&h, what);
    house_run(&h);

    client_open(&c);
    client_version(&c, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(c.ctx, "PSK");
    SSL_CTX_set_psk_client_callback(c.ctx, give_psk);
    psk_identity = "sensor";
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_mqtt(ssl);
    assert_string_equal(h.identity, "sensor");
    psk_identity = "later";
    assert_null(tls_open(&c, h.r.port, &(int){ 0 }));
    write_file(path, "later:deadbeef\n");
    assert_string_equal(house_renew(&h, l, what), "");
    int late_fd;
    SSL *late = tls_open(&c, h.r.port, &late_fd);
    assert_non_null(late);
    TLS_SEND(ssl, "\xc0\0");
    TLS_EXPECT(ssl, "\xd0\0");
    tls_close(ssl, fd);
    tls_close(late, late_fd);
    client_free(&c);
    house_close(&h);
    unlink(path);
}

/* ---- strangers ----------------------------------------------------------------------------------------- */

static void who_begins_and_does_not_end_is_put_out(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    int fd, strangers[20];
    house_open(&h, &(struct midge_loop_config){ .tls = &midge_tls_openssl, .greetings = 8 });
    house_listen(&h, (struct midge_listen){ .transport = MIDGE_TRANSPORT_TLS, .tls = server_files() });
    house_run(&h);
    client_open(&c);
    SSL *ssl = tls_open(&c, h.r.port, &fd);
    assert_non_null(ssl);
    expect_mqtt(ssl);
    for (size_t i = 0; i < COUNT(strangers); i++) {
        strangers[i] = peer_open(h.r.port);
        SEND(strangers[i], "\x16\x03\x01\x02\0\x01");
    }
    char byte;
    for (size_t i = 0; i < COUNT(strangers) - 8; i++)
        assert_true(recv(strangers[i], &byte, 1, 0) <= 0);
    TLS_SEND(ssl, "\xc0\0"); /* who is in, notices nothing */
    TLS_EXPECT(ssl, "\xd0\0");
    int late_fd;
    SSL *late = tls_open(&c, h.r.port, &late_fd); /* and there is room for one who hurries */
    assert_non_null(late);
    tls_close(late, late_fd);
    for (size_t i = 0; i < COUNT(strangers); i++)
        close(strangers[i]);
    tls_close(ssl, fd);
    client_free(&c);
    house_close(&h);
}

static void why_a_handshake_failed_is_said(void **state)
{
    (void)state;
    struct house h;
    struct client c;
    struct midge_listen what = { .transport = MIDGE_TRANSPORT_TLS, .tls = server_files() };
    what.tls.ca_file = certificate_path("ca.pem");
    what.tls.require_certificate = true;
    house_open(&h, &with_tls);
    house_listen(&h, what);
    house_run(&h);
    client_open(&c);
    client_version(&c, TLS1_2_VERSION);
    client_certificate(&c, "expired");
    assert_null(tls_open(&c, h.r.port, &(int){ 0 }));
    assert_int_equal(house_stats(&h).failed, 1);
    assert_non_null(strstr(h.said, " failed: certificate has expired.\n"));
    client_free(&c);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mqtt_in_tls),
        cmocka_unit_test(mqtt_in_websocket_in_tls),
        cmocka_unit_test(one_port_for_all_of_them),
        cmocka_unit_test(much_goes_through),
        cmocka_unit_test(identity_is_what_the_listener_wants),
        cmocka_unit_test(certificates_are_renewed_under_those_who_are_in),
        cmocka_unit_test(a_file_of_keys_is_read_and_read_again),
        cmocka_unit_test(who_begins_and_does_not_end_is_put_out),
        cmocka_unit_test(why_a_handshake_failed_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
