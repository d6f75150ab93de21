/* test_mosq_tls.c - mosq_broker.h with tls_cfg: TLS as ESP-TLS reads the same fields, and what is wrong with them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include "peer.h"

#include <errno.h>

#include "mosq_broker.h"

static uint16_t free_port(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    close(fd);
    return ntohs(any.sin_port);
}

struct broker {
    struct mosq_broker_config config;
    pthread_t thread;
    int result;
};

static void *broker_main(void *user)
{
    struct broker *b = user;
    b->result = mosq_broker_run(&b->config);
    return NULL;
}

static void start(struct broker *b, esp_tls_cfg_server_t *tls)
{
    *b = (struct broker){ .config = { .host = "127.0.0.1", .port = free_port(), .tls_cfg = tls } };
    assert_int_equal(pthread_create(&b->thread, NULL, broker_main, b), 0);
    for (int fd = -1; fd < 0;) {
        fd = peer_try((uint16_t)b->config.port, 0);
        if (fd >= 0)
            close(fd);
        else
            sched_yield();
    }
}

static void stop(struct broker *b)
{
    mosq_broker_stop();
    pthread_join(b->thread, NULL);
    assert_int_equal(b->result, MOSQ_ERR_SUCCESS);
}

static esp_tls_cfg_server_t server(void)
{
    static struct midge_slice certificate, key;
    certificate = certificate_bytes("server.pem");
    key = certificate_bytes("server.key");
    return (esp_tls_cfg_server_t){ .servercert_buf = certificate.data,
                                   .servercert_bytes = certificate.len,
                                   .serverkey_buf = key.data,
                                   .serverkey_bytes = key.len };
}

static bool is_served(struct client *c, const struct broker *b)
{
    const uint8_t connect[] = "\x10\x0d\0\4MQTT\4\2\0\0\0\1a";
    uint8_t answer[4] = { 0 };
    int fd = peer_open((uint16_t)b->config.port);
    SSL *ssl = SSL_new(c->ctx);
    SSL_set_fd(ssl, fd);
    SSL_set1_host(ssl, "localhost");
    bool served = SSL_connect(ssl) == 1 && SSL_write(ssl, connect, sizeof connect - 1) > 0 &&
                  SSL_read(ssl, answer, sizeof answer) == 4 && memcmp(answer, "\x20\x02\0\0", 4) == 0;
    SSL_free(ssl);
    close(fd);
    return served;
}

static void tls_cfg_makes_tls(void **state)
{
    (void)state;
    struct broker b;
    struct client c;
    esp_tls_cfg_server_t tls = server();
    start(&b, &tls);
    client_open(&c);
    assert_true(is_served(&c, &b));
    client_free(&c);
    stop(&b);
}

static void alpn_is_what_tls_cfg_says(void **state)
{
    (void)state;
    static const char *protos[] = { "first", "second", NULL };
    struct broker b;
    struct client c;
    esp_tls_cfg_server_t tls = server();
    tls.alpn_protos = protos;
    start(&b, &tls);
    client_open(&c);
    SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)"\6second", 7);
    assert_true(is_served(&c, &b));
    SSL_CTX_set_alpn_protos(c.ctx, (const uint8_t *)"\4mqtt", 5);
    assert_false(is_served(&c, &b));
    client_free(&c);
    stop(&b);
}

static void with_a_ca_clients_need_a_certificate_of_it(void **state)
{
    (void)state;
    struct broker b;
    struct client with, without;
    const struct midge_slice ca = certificate_bytes("ca.pem");
    esp_tls_cfg_server_t tls = server();
    tls.cacert_buf = ca.data;
    tls.cacert_bytes = ca.len;
    start(&b, &tls);
    client_open(&with);
    client_certificate(&with, "alice");
    client_open(&without);
    assert_true(is_served(&with, &b));
    assert_false(is_served(&without, &b));
    client_free(&with);
    client_free(&without);
    stop(&b);
}

static void a_key_may_have_a_password(void **state)
{
    (void)state;
    struct broker b;
    struct client c;
    const struct midge_slice key = certificate_bytes("locked.key");
    esp_tls_cfg_server_t tls = server();
    tls.serverkey_buf = key.data;
    tls.serverkey_bytes = key.len;
    tls.serverkey_password = (const unsigned char *)"secretive";
    tls.serverkey_password_len = 6;
    start(&b, &tls);
    client_open(&c);
    assert_true(is_served(&c, &b));
    client_free(&c);
    stop(&b);
}

static void without_a_usable_key_it_does_not_run(void **state)
{
    (void)state;
    esp_tls_cfg_server_t tls = server();
    struct mosq_broker_config config = { .host = "127.0.0.1", .port = 0, .tls_cfg = &tls };
    tls.serverkey_bytes = 10;
    assert_int_equal(mosq_broker_run(&config), MOSQ_ERR_TLS);
    tls.serverkey_buf = NULL;
    assert_int_equal(mosq_broker_run(&config), MOSQ_ERR_TLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_cfg_makes_tls),
        cmocka_unit_test(alpn_is_what_tls_cfg_says),
        cmocka_unit_test(with_a_ca_clients_need_a_certificate_of_it),
        cmocka_unit_test(a_key_may_have_a_password),
        cmocka_unit_test(without_a_usable_key_it_does_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
