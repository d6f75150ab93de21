/* test_acl_file.c - Mosquitto's ACL file: what its rules allow, and what is said of lines that are none. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plug/acl_file.h"

static char path[] = "/tmp/midge-acl-XXXXXX";
static char why[512];

static struct midge_slice slice(const char *text)
{
    return (struct midge_slice){ (const uint8_t *)text, text ? (uint32_t)strlen(text) : 0 };
}

static struct midge_acl_file *read_text(const char *text, size_t n)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
    why[0] = '\0';
    return midge_acl_file_read(path, why, sizeof why);
}

static const char *text_of_now;

static bool allows(const char *id, const char *user, enum midge_access what, const char *topic)
{
    struct midge_acl_file *acl = read_text(text_of_now, strlen(text_of_now));
    assert_non_null(acl);
    bool yes = midge_acl_file_allows(acl, slice(id), slice(user), what, slice(topic));
    midge_acl_file_drop(acl);
    return yes;
}

#define may_write(id, user, topic) allows(id, user, MIDGE_ACCESS_PUBLISH, topic)
#define may_read(id, user, topic) allows(id, user, MIDGE_ACCESS_DELIVER, topic)
#define may_subscribe(id, user, filter) allows(id, user, MIDGE_ACCESS_SUBSCRIBE, filter)

static void an_empty_file_allows_nothing(void **state)
{
    (void)state;
    text_of_now = "# nothing\n\n";
    assert_false(may_write("c", NULL, "a"));
    assert_false(may_read("c", "u", "a"));
    assert_false(may_subscribe("c", "u", "#"));
}

static void topics_before_a_user_are_for_clients_without_a_name(void **state)
{
    (void)state;
    text_of_now = "topic read news/#\ntopic write in\ntopic both\nuser bob\ntopic bob/+\n";
    assert_true(may_read("c", NULL, "news/a/b"));
    assert_false(may_write("c", NULL, "news/a/b"));
    assert_true(may_write("c", NULL, "in"));
    assert_false(may_read("c", NULL, "in"));
    assert_true(may_read("c", NULL, "both") && may_write("c", NULL, "both"));
    assert_false(may_read("c", "bob", "news/a/b"));
    assert_true(may_read("c", "bob", "bob/x") && may_write("c", "bob", "bob/x"));
    assert_false(may_read("c", "bobby", "bob/x"));
    assert_false(may_read("c", "", "news/a/b")); /* an empty name is a name */
}

static void a_topic_may_have_blanks_and_be_called_read(void **state)
{
    (void)state;
    text_of_now = "topic read\n\ttopic  write \ta b/c  \r\nuser two words\ntopic readwrite x\n";
    assert_true(may_write("c", NULL, "read"));
    assert_true(may_write("c", NULL, "a b/c"));
    assert_false(may_read("c", NULL, "a b/c"));
    assert_true(may_read("c", "two words", "x"));
}

static void patterns_fill_in_names(void **state)
{
    (void)state;
    text_of_now = "pattern write %c/up\npattern read users/%u/#\npattern readwrite %u/%c/%c\n";
    assert_true(may_write("dev1", NULL, "dev1/up"));
    assert_false(may_write("dev1", NULL, "dev2/up"));
    assert_true(may_read("dev1", "ann", "users/ann/x"));
    assert_false(may_read("dev1", "ann", "users/bob/x"));
    assert_false(may_read("dev1", NULL, "users//x"));
    assert_true(may_write("d", "ann", "ann/d/d"));
}

/* CVE-2017-7650 and its kin */
static void a_name_with_a_wildcard_widens_nothing(void **state)
{
    (void)state;
    text_of_now = "pattern readwrite a/%c/b\npattern readwrite u/%u/b\n";
    static const char *const names[] = { "+", "#", "x/y", "a+", "+/+" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char topic[32];
        snprintf(topic, sizeof topic, "a/%s/b", names[i]);
        assert_false(may_read(names[i], names[i], "a/other/b"));
        assert_false(may_read(names[i], names[i], topic));
        assert_false(may_subscribe(names[i], names[i], topic));
    }
}

static void deny_goes_before_what_grants(void **state)
{
    (void)state;
    text_of_now = "user ann\ntopic readwrite a/#\ntopic deny a/secret/#\npattern read a/secret/%u\npattern "
                  "deny x/%c/#\n"
                  "pattern readwrite x/#\n";
    assert_true(may_write("c", "ann", "a/open"));
    assert_false(may_read("c", "ann", "a/secret/x"));
    assert_false(
        may_read("c", "ann", "a/secret/ann")); /* the user's own rules come first, as with Mosquitto */
    assert_true(may_read("c", "bob", "a/secret/bob"));
    assert_false(may_read("c", NULL, "x/c/1"));
    assert_true(may_read("c", NULL, "x/d/1"));
}

static void a_subscription_is_good_if_anything_of_it_may_be_read(void **state)
{
    (void)state;
    text_of_now = "topic read a/b/#\ntopic deny z/#\ntopic read z/1\n";
    assert_true(may_subscribe("c", NULL, "a/b/c"));
    assert_true(may_subscribe("c", NULL, "#"));
    assert_true(may_subscribe("c", NULL, "+/+"));
    assert_false(may_subscribe("c", NULL, "+"));
    assert_false(may_subscribe("c", NULL, "z/+"));
    assert_false(may_subscribe("c", NULL, "$SYS/#"));
}

static void wildcards_do_not_reach_dollar_topics(void **state)
{
    (void)state;
    text_of_now = "topic #\n";
    assert_true(may_read("c", NULL, "a"));
    assert_false(may_read("c", NULL, "$SYS/broker/version"));
    text_of_now = "topic read $SYS/#\n";
    assert_true(may_read("c", NULL, "$SYS/broker/version"));
    assert_true(may_subscribe("c", NULL, "$SYS/#"));
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "topic\n", "1: a topic is missing" },
        { "# x\ntopic read a/#/b\n", "2: 'a/#/b' is no topic filter" },
        { "topic a+b\n", "1: 'a+b' is no topic filter" },
        { "user\n", "1: a user name is missing" },
        { "user a\ntopics b\n", "2: 'topics' is none of: topic user pattern" },
        { "pattern\n", "1: a topic is missing" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(read_text(rows[i].text, strlen(rows[i].text)));
        assert_true(strncmp(why, path, strlen(path)) == 0 && why[strlen(path)] == ':');
        assert_non_null(strstr(why, rows[i].says));
        assert_null(strchr(why, '\n'));
    }
    assert_null(read_text("topic a\0b\n", 10));
    assert_non_null(strstr(why, "zero"));
    assert_null(midge_acl_file_read("/no/such/file", why, sizeof why));
    assert_non_null(strstr(why, "/no/such/file: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_allows_nothing),
        cmocka_unit_test(topics_before_a_user_are_for_clients_without_a_name),
        cmocka_unit_test(a_topic_may_have_blanks_and_be_called_read),
        cmocka_unit_test(patterns_fill_in_names),
        cmocka_unit_test(a_name_with_a_wildcard_widens_nothing),
        cmocka_unit_test(deny_goes_before_what_grants),
        cmocka_unit_test(a_subscription_is_good_if_anything_of_it_may_be_read),
        cmocka_unit_test(wildcards_do_not_reach_dollar_topics),
        cmocka_unit_test(wrong_lines_are_named),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
