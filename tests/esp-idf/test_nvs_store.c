/* test_nvs_store.c - state in NVS: what outlives a restart and a power cut at any point, and what the flash wears. */
#include "nvs_store.h"

#include "nvs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS 3600000u

/* ---- a broker on a clock of ours ------------------------------------------------------------------------- */

static struct midge_esp_nvs_config config;
static struct midge *broker;
static struct midge_nvs *nvs;
static midge_ms now;

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

static void *take(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}

static void *resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    (void)old;
    return realloc(p, n);
}

static const struct midge_memory memory = { .alloc = take, .free = give, .resize = resize };

static uint64_t wall(void *user)
{
    (void)user;
    return 1700000000000u + now;
}

static void start(void)
{
    static const struct midge_hooks hooks = { .wall_ms = wall };
    nvs = midge_nvs_open(&config, &memory, now);
    assert_non_null(nvs);
    const struct midge_config c = { .memory = &memory, .hooks = &hooks, .store = midge_nvs_store(nvs) };
    broker = midge_new(&c, now);
    assert_non_null(broker);
    midge_nvs_restore(nvs, broker, now);
}

static void stop(void)
{
    midge_free(broker);
    midge_nvs_close(nvs);
}

/* What is not in flash now never will be. */
static void cut_power(void)
{
    stub_nvs_cut_after = 0;
    stop();
    stub_nvs_cut_after = UINT32_MAX;
}

static struct midge_esp_nvs_stats stats(void)
{
    struct midge_esp_nvs_stats s;
    midge_nvs_get_stats(nvs, &s);
    return s;
}

/* ---- clients --------------------------------------------------------------------------------------------- */

static struct midge_conn *client(const char *id, bool clean, bool *present)
{
    static const struct midge_peer peer = { .user = NULL };
    uint8_t packet[64] = { 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, clean ? 2 : 0, 0, 0, 0 }, answer[4];
    size_t n = strlen(id);
    packet[1] = (uint8_t)(12 + n);
    packet[13] = (uint8_t)n;
    memcpy(packet + 14, id, n);
    struct midge_conn *c = midge_accept(broker, &peer, now);
    assert_non_null(c);
    midge_recv(c, packet, 14 + n, now);
    assert_int_equal(midge_pull(c, answer, 4, now), 4);
    assert_int_equal(answer[3], 0);
    if (present)
        *present = answer[2];
    return c;
}

static void subscribe(struct midge_conn *c, const char *filter)
{
    uint8_t packet[64] = { 0x82, 0, 0, 1, 0 }, answer[5];
    size_t n = strlen(filter);
    packet[1] = (uint8_t)(5 + n);
    packet[5] = (uint8_t)n;
    memcpy(packet + 6, filter, n);
    packet[6 + n] = 1;
    midge_recv(c, packet, 7 + n, now);
    assert_int_equal(midge_pull(c, answer, 5, now), 5);
    assert_int_equal(answer[4], 1);
}

static void publish(const char *topic, const char *payload, bool retain)
{
    const struct midge_publication p = { .topic = text(topic), .payload = text(payload), .qos = 1, .retain = retain };
    assert_int_equal(midge_publish(broker, NULL, &p, now), MIDGE_OK);
}

/* The payload of the next PUBLISH, acknowledged; "" if there is none. */
static const char *receive(struct midge_conn *c)
{
    static char payload[64];
    uint8_t packet[128], ack[4] = { 0x40, 2 };
    size_t n = midge_pull(c, packet, sizeof packet, now);
    if (n == 0)
        return "";
    assert_int_equal(packet[0] & 0xf0, 0x30);
    size_t at = 4u + packet[3], qos = packet[0] >> 1 & 3u;
    memcpy(ack + 2, packet + at, 2);
    at += qos ? 2 : 0;
    memcpy(payload, packet + at, packet[1] + 2u - at);
    payload[packet[1] + 2u - at] = '\0';
    if (qos)
        midge_recv(c, ack, 4, now);
    return payload;
}

static void leave(struct midge_conn *c)
{
    midge_recv(c, "\xe0", 2, now);
    midge_lost(c, now);
}

/* Lets time pass, as the port's loop does. */
static void wait_ms(midge_ms ms)
{
    for (midge_ms end = now + ms; now < end; now += ms < 1000 ? ms : 1000) {
        if (midge_deadline(broker) <= now)
            midge_tick(broker, now);
        while (midge_ready(broker, now))
            continue;
        while (midge_nvs_tick(nvs, now) <= now)
            continue;
    }
}

static const char *retained(const char *topic)
{
    struct midge_conn *c = client("reader", true, NULL);
    subscribe(c, topic);
    midge_tick(broker, now);
    const char *payload = receive(c);
    leave(c);
    return payload;
}

static int set_up(void **state)
{
    (void)state;
    config = (struct midge_esp_nvs_config){ .partition = NULL };
    now = 1000;
    stub_nvs_wipe();
    stub_nvs_written = 0;
    stub_nvs_full = SIZE_MAX;
    start();
    return 0;
}

/* ---- restarts -------------------------------------------------------------------------------------------- */

static void leave_state(void)
{
    struct midge_conn *c = client("sleeper", false, NULL);
    subscribe(c, "news/#");
    leave(c);
    publish("news/1", "while you slept", false);
    publish("lamp", "on", true);
}

static void find_state(void)
{
    bool present;
    struct midge_conn *c = client("sleeper", false, &present);
    assert_true(present);
    assert_string_equal(receive(c), "while you slept");
    publish("news/2", "and now", false);
    assert_string_equal(receive(c), "and now");
    leave(c);
    assert_string_equal(retained("lamp"), "on");
}

static void state_outlives_an_orderly_restart(void **state)
{
    (void)state;
    leave_state();
    stop(); /* at once: nothing has been written so far */
    start();
    find_state();
    stop();
}

static void what_is_older_than_the_loss_window_outlives_a_power_cut(void **state)
{
    (void)state;
    leave_state();
    wait_ms(12000);
    publish("lamp", "off", true);
    cut_power();
    start();
    find_state();
    assert_int_equal(stats().dropped, 0);
    stop();
}

static void what_was_deleted_does_not_come_back(void **state)
{
    (void)state;
    leave_state();
    wait_ms(12000);
    publish("lamp", "", true);
    leave(client("sleeper", true, NULL));
    wait_ms(12000);
    cut_power();
    bool present;
    start();
    assert_string_equal(retained("lamp"), "");
    leave(client("sleeper", false, &present));
    assert_false(present);
    stop();
}

/* Two states, and the flash cut off after each number of changes from one to the other: what is found is the one or the
 * other of each thing, and the next start finds nothing left to mend. */
static void change_everything(void)
{
    publish("lamp", "off", true);
    publish("door", "open", true);
    leave(client("sleeper", true, NULL));
    leave_state();
    struct midge_conn *c = client("second", false, NULL);
    subscribe(c, "news/#");
    subscribe(c, "a filter that is longer than its name/#");
    leave(c);
    publish("lamp", "dim", true);
}

static bool after_cut(uint32_t changes)
{
    stub_nvs_wipe();
    start();
    publish("lamp", "off", true);
    leave_state();
    wait_ms(12000);
    change_everything();
    stub_nvs_cut_after = changes;
    wait_ms(30000);
    bool cut = stub_nvs_cut_after == 0;
    stub_nvs_cut_after = 0;
    cut_power();
    return cut;
}

static void a_power_cut_at_any_point_leaves_a_sound_state(void **state)
{
    (void)state;
    stop();
    uint32_t changes = 0;
    for (bool cut = true; cut; changes++) {
        cut = after_cut(changes);
        start();
        const char *lamp = retained("lamp");
        assert_true(strcmp(lamp, "on") == 0 || strcmp(lamp, "dim") == 0);
        bool present;
        struct midge_conn *c = client("sleeper", false, &present);
        const char *first = receive(c);
        if (present && changes == 0)
            assert_string_equal(first, "while you slept");
        leave(c);
        wait_ms(12000);
        cut_power();
        start();
        assert_int_equal(stats().dropped, 0);
        stop();
    }
    assert_true(changes > 12);
    start();
    stop();
}

/* ---- the flash ------------------------------------------------------------------------------------------- */

static void messages_that_pass_through_wear_nothing(void **state)
{
    (void)state;
    struct midge_conn *c = client("here", false, NULL);
    subscribe(c, "#");
    wait_ms(12000);
    uint64_t before = stub_nvs_written;
    for (int i = 0; i < 2000; i++) {
        publish("a/b", "value", false);
        assert_string_equal(receive(c), "value");
        wait_ms(100);
    }
    assert_int_equal(stub_nvs_written, before);
    leave(c);
    stop();
}

#define HOURS 8u

/* Changes as fast as anybody can make them. */
static void the_wear_budget_is_kept(void **state)
{
    char topic[16], payload[32];
    (void)state;
    for (uint32_t second = 0; second < HOURS * 3600; second++) {
        for (unsigned i = 0; i < 20; i++) {
            snprintf(topic, sizeof topic, "topic/%u", i);
            snprintf(payload, sizeof payload, "%08u", (unsigned)second);
            publish(topic, payload, true);
        }
        wait_ms(1000);
    }
    assert_true(stub_nvs_written > (HOURS - 1) * 600);
    assert_true(stub_nvs_written <= (HOURS + 1) * 600);
    assert_int_equal(stats().written, stub_nvs_written);
    cut_power();
    start();
    for (unsigned i = 0; i < 20; i++) { /* late, but not lost: an hour pays for more than each topic once */
        snprintf(topic, sizeof topic, "topic/%u", i);
        assert_true(atoi(retained(topic)) > (int)(HOURS - 1) * 3600);
    }
    stop();
}

static void a_full_flash_costs_state_and_nothing_else(void **state)
{
    char topic[16];
    (void)state;
    stub_nvs_full = 40;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(topic, sizeof topic, "topic/%u", i);
        publish(topic, "x", true);
        wait_ms(12000);
    }
    assert_true(stats().lost > 0);
    assert_string_equal(retained("topic/19"), "x");
    publish("topic/0", "", true);
    publish("topic/1", "", true);
    wait_ms(12000);
    publish("late", "y", true); /* there is room again */
    wait_ms(12000);
    cut_power();
    start();
    assert_string_equal(retained("late"), "y");
    assert_string_equal(retained("topic/0"), "");
    stop();
}

static void the_share_of_the_partition_is_kept(void **state)
{
    char topic[16];
    size_t used;
    nvs_handle_t h;
    (void)state;
    stop();
    config.entries = 60;
    start();
    for (unsigned i = 0; i < 60; i++) {
        snprintf(topic, sizeof topic, "topic/%u", i);
        publish(topic, "x", true);
    }
    wait_ms(HOUR_MS);
    assert_int_equal(nvs_open_from_partition("nvs", "midge", NVS_READONLY, &h), ESP_OK);
    nvs_get_used_entry_count(h, &used);
    nvs_close(h);
    assert_in_range(used, 50, 60);
    assert_true(stats().lost > 0);
    stop();
}

static void damaged_records_are_dropped_and_the_rest_is_found(void **state)
{
    nvs_handle_t h;
    (void)state;
    leave_state();
    stop();
    assert_int_equal(nvs_open_from_partition("nvs", "midge", NVS_READWRITE, &h), ESP_OK);
    assert_int_equal(nvs_set_blob(h, "G------zzzzzzzz", "\0\x09" "Gxxxxxxxx", 11), ESP_OK);
    assert_int_equal(nvs_set_blob(h, "E-", "\xff\xff", 2), ESP_OK);
    start();
    assert_int_equal(stats().dropped, 2);
    find_state();
    stop();
    assert_int_equal(nvs_set_blob(h, "A", "\0\1A?", 4), ESP_OK); /* of another version */
    nvs_close(h);
    start();
    assert_int_equal(stats().dropped, 1);
    assert_string_equal(retained("lamp"), "");
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(state_outlives_an_orderly_restart, set_up),
        cmocka_unit_test_setup(what_is_older_than_the_loss_window_outlives_a_power_cut, set_up),
        cmocka_unit_test_setup(what_was_deleted_does_not_come_back, set_up),
        cmocka_unit_test_setup(a_power_cut_at_any_point_leaves_a_sound_state, set_up),
        cmocka_unit_test_setup(messages_that_pass_through_wear_nothing, set_up),
        cmocka_unit_test_setup(the_wear_budget_is_kept, set_up),
        cmocka_unit_test_setup(a_full_flash_costs_state_and_nothing_else, set_up),
        cmocka_unit_test_setup(the_share_of_the_partition_is_kept, set_up),
        cmocka_unit_test_setup(damaged_records_are_dropped_and_the_rest_is_found, set_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stub_nvs_wipe();
    return failed;
}
