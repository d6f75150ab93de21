/* test_template.c - the template port against a network of a few lines. */
#include "support.h"

#define TEMPLATE_SOCKETS 3
#define TEMPLATE_CHUNK 8
#include "ports/template/template.c"

/* ---- the network: per socket, room and what was sent --------------------------------------------------- */

struct wire {
    size_t room;
    uint8_t sent[256];
    size_t n;
    bool reading, closed;
};

static struct wire wires[TEMPLATE_SOCKETS + 1];
static midge_ms now;

midge_ms your_clock(void)
{
    return now;
}

size_t your_room(int socket)
{
    return wires[socket].room;
}

void your_send(int socket, const void *bytes, size_t n)
{
    struct wire *w = &wires[socket];
    assert_true(n <= w->room && n <= sizeof w->sent - w->n && !w->closed);
    memcpy(w->sent + w->n, bytes, n);
    w->n += n;
    w->room -= n;
}

void your_reading(int socket, bool on)
{
    wires[socket].reading = on;
}

void your_close(int socket)
{
    wires[socket].closed = true;
}

/* ---- what the tests share ------------------------------------------------------------------------------ */

static _Alignas(max_align_t) uint8_t block[16384];
static struct midge_memory memory;
static struct template_port port;
static struct midge *broker;
static size_t free_bytes;

static int open_port(void **state)
{
    (void)state;
    memset(wires, 0, sizeof wires);
    for (size_t i = 0; i < COUNT(wires); i++)
        wires[i].room = sizeof wires[i].sent;
    now = 1000;
    assert_true(midge_arena_memory(block, sizeof block, &memory));
    free_bytes = midge_arena_largest(&memory);
    broker = midge_new(&(struct midge_config){ .memory = &memory }, now);
    assert_non_null(broker);
    template_start(&port, broker);
    return 0;
}

/* Every connection was given back: so is all memory. */
static int close_port(void **state)
{
    (void)state;
    for (int i = 0; i < TEMPLATE_SOCKETS; i++)
        template_closed(&port, i);
    midge_free(broker);
    assert_int_equal(midge_arena_largest(&memory), free_bytes);
    return 0;
}

#define CONNECT(id) "\x10\x0d\0\4MQTT\4\2\0\0\0\1" id
#define CONNACK "\x20\x02\0\0"
#define SEND(socket, text) template_received(&port, socket, "" text, sizeof(text) - 1)

static void expect(int socket, const char *bytes, size_t n)
{
    assert_int_equal(wires[socket].n, n);
    assert_memory_equal(wires[socket].sent, bytes, n);
    wires[socket].n = 0;
}
#define EXPECT(socket, text) expect(socket, "" text, sizeof(text) - 1)

static void connect_client(int socket)
{
    assert_true(template_opened(&port, socket, 0));
    SEND(socket, CONNECT("a"));
    template_run(&port);
    EXPECT(socket, CONNACK);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static void a_client_publishes_to_itself(void **state)
{
    (void)state;
    connect_client(0);
    SEND(0, "\x82\x06\0\1\0\1t\0");
    SEND(0, "\x30\x08\0\1tabcde");
    template_run(&port);
    EXPECT(0, "\x90\x03\0\1\0"
              "\x30\x08\0\1tabcde");
}

static void what_finds_no_room_goes_out_when_there_is_some(void **state)
{
    (void)state;
    connect_client(0);
    wires[0].room = 1;
    SEND(0, "\xC0\0");
    template_run(&port);
    EXPECT(0, "\xD0");
    template_run(&port);
    EXPECT(0, "");
    wires[0].room = 5;
    template_writable(&port, 0);
    template_run(&port);
    EXPECT(0, "\0");
}

static void a_close_comes_after_the_last_bytes(void **state)
{
    (void)state;
    assert_true(template_opened(&port, 0, 0));
    wires[0].room = 0;
    SEND(0, "\x10\x0c\0\4MQTT\4\0\0\0\0\0"); /* a session to keep, and no name for it */
    template_run(&port);
    assert_false(wires[0].closed);
    wires[0].room = 100;
    template_writable(&port, 0);
    template_run(&port);
    EXPECT(0, "\x20\x02\0\2");
    assert_true(wires[0].closed);
}

static void a_connection_too_many_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < TEMPLATE_SOCKETS; i++)
        assert_true(template_opened(&port, i, 0));
    assert_false(template_opened(&port, TEMPLATE_SOCKETS, 0));
    template_closed(&port, 1);
    assert_true(template_opened(&port, 1, 0));
}

static void time_ends_a_silent_connection(void **state)
{
    (void)state;
    assert_true(template_opened(&port, 0, 0));
    uint32_t ms = template_run(&port);
    assert_int_equal(ms, midge_limits_chip.hello_ms);
    now += ms - 1;
    assert_int_equal(template_run(&port), 1);
    assert_false(wires[0].closed);
    now++;
    template_run(&port);
    assert_true(wires[0].closed);
}

static void who_does_not_read_is_not_read(void **state)
{
    (void)state;
    connect_client(0);
    wires[0].room = 0;
    template_run(&port);
    for (int i = 0; i < 1000; i++)
        SEND(0, "\xC0\0");
    assert_false(wires[0].reading);
    while (!wires[0].reading) {
        wires[0] = (struct wire){ .room = sizeof wires[0].sent };
        template_writable(&port, 0);
        template_run(&port);
        assert_true(wires[0].n > 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_port, close_port)
    const struct CMUnitTest tests[] = {
        TEST(a_client_publishes_to_itself),
        TEST(what_finds_no_room_goes_out_when_there_is_some),
        TEST(a_close_comes_after_the_last_bytes),
        TEST(a_connection_too_many_is_refused),
        TEST(time_ends_a_silent_connection),
        TEST(who_does_not_read_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
