/* test_utf8.c - every text field refuses what is not UTF-8, and keeps what is, byte for byte. */
#include "morec.h"

struct text {
    const char *bytes;
    size_t len;
};
#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static const struct text bad[] = {
    TEXT("\xC0\x80"),                 /* U+0000, overlong */
    TEXT("\xC1\xBF"),                 /* overlong */
    TEXT("a\xE0\x80\xAF"),            /* overlong "/" */
    TEXT("\xE0\x9F\xBF"),             /* overlong */
    TEXT("\xF0\x8F\xBF\xBF"),         /* overlong */
    TEXT("\xED\xA0\x80"),             /* U+D800 */
    TEXT("\xED\xBF\xBF"),             /* U+DFFF */
    TEXT("\xED\xA0\x80\xED\xB0\x80"), /* a pair of them */
    TEXT("\xF4\x90\x80\x80"),         /* U+110000 */
    TEXT("\xF5\x80\x80\x80"),
    TEXT("\xF8\x88\x80\x80\x80"),
    TEXT("\xFE"),
    TEXT("\xFF"),
    TEXT("ab\x80"), /* a continuation alone */
    TEXT("\xBF"),
    TEXT("a\xC3"), /* cut off */
    TEXT("a\xE2\x82"),
    TEXT("\xF0\x9F\x98"),
    TEXT("\xC3("), /* the next is no continuation */
    TEXT("\xE2(\xA1"),
    TEXT("\xE2\x82("),
    TEXT("\xF0\x9F\x98("),
    TEXT("eight by\xFFtes in a row"),
    TEXT("sixteen bytes ok and then \xED\xA0\x80"),
};

static const struct text nul[] = {
    TEXT("\0"), TEXT("a\0b"), TEXT("ab\0"), TEXT("\0ab"), TEXT("a long text with one\0 within"),
};

static const struct text good[] = {
    TEXT("\xC2\x80"),         /* U+0080 */
    TEXT("\xDF\xBF"),         /* U+07FF */
    TEXT("\xE0\xA0\x80"),     /* U+0800 */
    TEXT("\xED\x9F\xBF"),     /* U+D7FF */
    TEXT("\xEE\x80\x80"),     /* U+E000 */
    TEXT("\xEF\xBF\xBD"),     /* U+FFFD */
    TEXT("\xF0\x90\x80\x80"), /* U+10000 */
    TEXT("\xF4\x8F\xBF\xBF"), /* U+10FFFF */
    TEXT("\xF0\x9F\x98\x80 \xE2\x82\xAC \xC3\xBC in one text of many bytes"),
    TEXT("\x7F"),
};

/* Where a text can stand in a packet of a connected client: bytes before and after it. The length of a
 * property section is left out: it is counted. */
struct field {
    uint8_t first;
    const char *before; /* up to the property section */
    const char
        *section; /* NULL: the text stands right behind `before`; else what precedes it in the section */
    const char *after_text; /* still in the section */
    const char *after;
};

static const struct field fields5[] = {
    { 0x30, "", NULL, "", "00 'x'" },                  /* topic */
    { 0x82, "00 01 00", NULL, "", "00" },              /* filter */
    { 0x82, "00 01 00 00 01 'a' 00", NULL, "", "00" }, /* the second filter */
    { 0xA2, "00 01 00", NULL, "", "" },                /* filter */
    { 0x30, "00 01 't'", "03", "", "'x'" },            /* content type */
    { 0x30, "00 01 't'", "08", "", "'x'" },            /* response topic */
    { 0x30, "00 01 't'", "26", "00 01 'v'", "'x'" },   /* user property: name */
    { 0x30, "00 01 't'", "26 00 01 'n'", "", "'x'" },  /* and value */
    { 0x82, "00 01", "26", "00 01 'v'", "00 01 't' 00" },
    { 0xA2, "00 01", "26 00 01 'n'", "", "00 01 't'" },
    { 0x40, "00 01 00", "1F", "", "" }, /* reason strings */
    { 0x50, "00 01 00", "1F", "", "" },
    { 0x62, "00 01 00", "1F", "", "" },
    { 0x70, "00 01 00", "1F", "", "" },
    { 0xE0, "00", "1F", "", "" },
};

static const struct field fields3[] = {
    { 0x30, "", NULL, "", "'x'" },
    { 0x82, "00 01", NULL, "", "00" },
    { 0x82, "00 01 00 01 'a' 00", NULL, "", "00" },
    { 0xA2, "00 01", NULL, "", "" },
};

static struct bytes with_text(const struct field *f, struct text text)
{
    struct bytes b = string_bytes(text.bytes, text.len);
    if (f->section)
        b = counted_bytes(join3(hex_bytes(f->section), b, hex_bytes(f->after_text)));
    return packet_bytes(f->first, join3(hex_bytes(f->before), b, hex_bytes(f->after)));
}

/* Where a text can stand in CONNECT. */
static const char *const connect_fields5[][2] = {
    { "00 04 'MQTT' 05 02 00 00 00", "" },                       /* client id */
    { "00 04 'MQTT' 05 06 00 00 00 00 01 'c' 00", "00 01 'x'" }, /* will topic */
    { "00 04 'MQTT' 05 82 00 00 00 00 01 'c'", "" },             /* user name */
};
static const char *const connect_fields311[][2] = {
    { "00 04 'MQTT' 04 02 00 00", "" },
    { "00 04 'MQTT' 04 06 00 00 00 01 'c'", "00 01 'x'" },
    { "00 04 'MQTT' 04 82 00 00 00 01 'c'", "" },
};
static const char *const connect_fields31[][2] = {
    { "00 06 'MQIsdp' 03 02 00 00", "" },
    { "00 06 'MQIsdp' 03 06 00 00 00 01 'c'", "00 01 'x'" },
    { "00 06 'MQIsdp' 03 82 00 00 00 01 'c'", "" },
};

static struct bytes connect_with_text(const char *const field[2], struct text text)
{
    return packet_bytes(0x10,
                        join3(hex_bytes(field[0]), string_bytes(text.bytes, text.len), hex_bytes(field[1])));
}

/* Each text in each field of a connected client ends that connection and leaves no trace. */
static void refuse_all(int version, const struct field *fields, size_t field_count, const struct text *texts,
                       size_t count)
{
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < field_count; k++) {
            struct peer *p = connect_v(version, "a");
            send_all(p, with_text(&fields[k], texts[i]));
            expect_disconnect(p, 0x81);
        }
    }
    expect_nothing(watch);
    CHECK_EQ(stats().subscriptions, 1);
    leave(watch);
}

static void refuse_connect(int version, const char *const field[2], const struct text *texts, size_t count)
{
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    for (size_t i = 0; i < count; i++) {
        struct peer *p = dial();
        send_all(p, connect_with_text(field, texts[i]));
        if (version == 5)
            expect_connack(p, 0x81);
        else
            expect_closed(p);
    }
    expect_nothing(watch);
    CHECK_EQ(stats().sessions, 1);
    leave(watch);
}

SPEC("MQTT-1.5.4-1", "MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19", "MQTT-1.5.7-1")
TEST(texts_that_are_not_utf_8_are_malformed)
{
    refuse_all(5, fields5, COUNT(fields5), bad, COUNT(bad));
}

SPEC("MQTT-1.5.4-2", "MQTT-1.5.7-1")
TEST(texts_that_hold_a_nul_are_malformed)
{
    refuse_all(5, fields5, COUNT(fields5), nul, COUNT(nul));
}

SPEC("MQTT311-1.5.3-1", "MQTT311-3.8.3-1", "MQTT311-3.10.3-1")
TEST(texts_of_3_1_1_that_are_not_utf_8_close_the_connection)
{
    refuse_all(4, fields3, COUNT(fields3), bad, COUNT(bad));
}

SPEC("MQTT311-1.5.3-2")
TEST(texts_of_3_1_1_that_hold_a_nul_close_the_connection)
{
    refuse_all(4, fields3, COUNT(fields3), nul, COUNT(nul));
}

SPEC("V31-utf8")
TEST(texts_of_3_1_obey_the_same_rules)
{
    refuse_all(3, fields3, COUNT(fields3), bad, COUNT(bad));
    for (size_t k = 0; k < COUNT(connect_fields31); k++)
        refuse_connect(3, connect_fields31[k], nul, COUNT(nul));
}

SPEC("MQTT-3.1.3-4", "MQTT-1.5.4-1", "MQTT-1.5.4-2")
TEST(a_client_id_is_utf_8)
{
    refuse_connect(5, connect_fields5[0], bad, COUNT(bad));
    refuse_connect(5, connect_fields5[0], nul, COUNT(nul));
}

SPEC("MQTT-3.1.3-11", "MQTT-1.5.4-1", "MQTT-1.5.4-2")
TEST(a_will_topic_is_utf_8)
{
    refuse_connect(5, connect_fields5[1], bad, COUNT(bad));
    refuse_connect(5, connect_fields5[1], nul, COUNT(nul));
}

SPEC("MQTT-3.1.3-12", "MQTT-1.5.4-1", "MQTT-1.5.4-2")
TEST(a_user_name_is_utf_8)
{
    refuse_connect(5, connect_fields5[2], bad, COUNT(bad));
    refuse_connect(5, connect_fields5[2], nul, COUNT(nul));
}

SPEC("MQTT311-3.1.3-4", "MQTT311-1.5.3-1", "MQTT311-1.5.3-2")
TEST(a_client_id_of_3_1_1_is_utf_8)
{
    refuse_connect(4, connect_fields311[0], bad, COUNT(bad));
    refuse_connect(4, connect_fields311[0], nul, COUNT(nul));
}

SPEC("MQTT311-3.1.3-10", "MQTT311-1.5.3-1", "MQTT311-1.5.3-2")
TEST(a_will_topic_of_3_1_1_is_utf_8)
{
    refuse_connect(4, connect_fields311[1], bad, COUNT(bad));
    refuse_connect(4, connect_fields311[1], nul, COUNT(nul));
}

SPEC("MQTT311-3.1.3-11", "MQTT311-1.5.3-1", "MQTT311-1.5.3-2")
TEST(a_user_name_of_3_1_1_is_utf_8)
{
    refuse_connect(4, connect_fields311[2], bad, COUNT(bad));
    refuse_connect(4, connect_fields311[2], nul, COUNT(nul));
}

/* Properties of CONNECT and of the will, each with a text that is not UTF-8. */
SPEC("MQTT-1.5.4-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19", "MQTT-1.5.7-1")
TEST(texts_in_properties_of_connect_are_utf_8)
{
    static const char *const sections[] = { "26 00 01 FF 00 01 'v'", "26 00 01 'n' 00 02 C0 80",
                                            "15 00 01 FF" };
    static const char *const will_sections[] = { "03 00 03 ED A0 80", "08 00 01 FF", "26 00 01 FF 00 00",
                                                 "26 00 00 00 03 'a' 00 'b'" };
    for (size_t i = 0; i < COUNT(sections); i++) {
        struct peer *p = dial();
        send_all(p, packet_bytes(0x10, join3(hex_bytes("00 04 'MQTT' 05 02 00 00"),
                                             counted_bytes(hex_bytes(sections[i])), hex_bytes("00 01 'a'"))));
        expect_connack(p, 0x81);
    }
    for (size_t i = 0; i < COUNT(will_sections); i++) {
        struct peer *p = dial();
        send_all(p, packet_bytes(0x10, join3(hex_bytes("00 04 'MQTT' 05 06 00 00 00 00 01 'a'"),
                                             counted_bytes(hex_bytes(will_sections[i])),
                                             hex_bytes("00 01 't' 00 01 'x'"))));
        expect_connack(p, 0x81);
    }
}

/* ---- what is kept -------------------------------------------------------------------------------------- */

SPEC("MQTT-1.5.4-1", "MQTT311-1.5.3-1")
TEST(characters_at_the_edges_of_utf_8_are_lawful)
{
    for (int v = 4; v <= 5; v++) {
        for (size_t i = 0; i < COUNT(good); i++) {
            struct peer *p = connect_v(v, good[i].bytes);
            subscribe(p, good[i].bytes, 0);
            publish(p, good[i].bytes, "x", 0);
            expect_publish(p, good[i].bytes, "x");
            leave(p);
        }
    }
}

/* The password is binary. */
SPEC("MQTT-3.1.3-12", "MQTT311-3.1.3-11")
TEST(a_password_need_not_be_utf_8)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_as(&((struct c_connect){ .version = (uint8_t)v,
                                                          .client_id = "a",
                                                          .clean_start = true,
                                                          .username = "\xC3\xBC",
                                                          .password = "\0\xFF\xC0",
                                                          .password_len = 3 }));
        leave(p);
    }
}

SPEC("MQTT-1.5.4-3", "MQTT311-1.5.3-3")
TEST(a_byte_order_mark_is_a_character_like_any_other)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p,
                  "\xEF\xBB\xBF"
                  "t",
                  0);
        publish(p, "t", "1", 0);
        expect_nothing(p);
        publish(p,
                "\xEF\xBB\xBF"
                "t",
                "2", 0);
        struct packet pk = expect_publish(p,
                                          "\xEF\xBB\xBF"
                                          "t",
                                          "2");
        CHECK_EQ(pk.topic_len, 4);
        subscribe(p, "u\xEF\xBB\xBF", 0);
        publish(p, "u", "3", 0);
        expect_nothing(p);
        publish(p, "u\xEF\xBB\xBF", "4", 0);
        expect_publish(p, "u\xEF\xBB\xBF", "4");
        leave(p);
    }
}

SPEC("MQTT-1.5.4-3")
TEST(a_byte_order_mark_in_a_property_is_kept)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", 0);
    send_publish(p, &(struct c_publish){ .topic = "t",
                                         .props = PROPS(prop_text(PROP_CONTENT_TYPE, "\xEF\xBB\xBF"),
                                                        prop_user("\xEF\xBB\xBFn", "v\xEF\xBB\xBF")) });
    struct packet pk = expect_publish(p, "t", "");
    CHECK_STR(prop_string(&pk, PROP_CONTENT_TYPE), "\xEF\xBB\xBF");
    CHECK_STR(nth_prop(&pk, PROP_USER, 0)->name, "\xEF\xBB\xBFn");
    CHECK_STR(nth_prop(&pk, PROP_USER, 0)->value, "v\xEF\xBB\xBF");
}
