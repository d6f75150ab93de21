/* test_options.c - the command line: what is taken, and the one line for what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/midge/options.h"

static char why[256];

/* Parses the words of `line`. */
static bool parse(struct options *o, const char *line)
{
    static char words[256];
    char *argv[32] = { "midge" };
    int argc = 1;
    strcpy(words, line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    why[0] = '\0';
    return options_parse(o, argc, argv, why, sizeof why);
}

static void nothing_means_loopback_on_1883(void **state)
{
    (void)state;
    struct options o;
    assert_true(parse(&o, ""));
    assert_int_equal(o.port, 1883);
    assert_int_equal(o.address_count, 0);
    assert_int_equal(o.sys_interval_s, 10);
    assert_false(o.verbose || o.daemonise);
    assert_int_equal(o.then, OPTIONS_SERVE);
}

static void each_way_to_write_an_option(void **state)
{
    (void)state;
    static const char *const lines[] = { "-p 1 -v -d -a ::",
                                         "-p1 -vd -a::",
                                         "-vdp 1 -a ::",
                                         "-vdp1 --address ::",
                                         "--port 1 --verbose --daemon --address=::",
                                         "--port=1 --daemon -va ::" };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct options o;
        assert_true(parse(&o, lines[i]));
        assert_int_equal(o.port, 1);
        assert_true(o.verbose && o.daemonise);
        assert_int_equal(o.address_count, 1);
        assert_string_equal(o.addresses[0], "::");
    }
}

static void addresses_add_up_and_the_last_port_counts(void **state)
{
    (void)state;
    struct options o;
    assert_true(parse(&o, "-a 127.0.0.1 -p 1 -a host -p 65535 -p 0"));
    assert_int_equal(o.address_count, 2);
    assert_string_equal(o.addresses[1], "host");
    assert_int_equal(o.port, 0);
    assert_true(parse(&o, "--sys-interval=0"));
    assert_int_equal(o.sys_interval_s, 0);
    assert_false(parse(&o, "-aa -ab -ac -ad -ae -af -ag -ah -ai -aj -ak -al -am -an -ao -ap -aq"));
    assert_string_equal(why, "option '--address' cannot be 'q': 16 addresses are the most");
}

static void help_and_version_end_the_reading(void **state)
{
    (void)state;
    struct options o;
    assert_true(parse(&o, "--help --nonsense"));
    assert_int_equal(o.then, OPTIONS_HELP);
    assert_true(parse(&o, "-h"));
    assert_int_equal(o.then, OPTIONS_HELP);
    assert_true(parse(&o, "-v --version"));
    assert_int_equal(o.then, OPTIONS_VERSION);
}

static void each_mistake_has_its_line(void **state)
{
    (void)state;
    static const char port[] = "a port is a number from 0 (any free one) to 65535";
    static const struct {
        const char *line, *why;
    } rows[] = {
        { "--prot 1", "unknown option '--prot'; did you mean '--port'?" },
        { "--prot=1", "unknown option '--prot'; did you mean '--port'?" },
        { "--verb", "unknown option '--verb'; did you mean '--verbose'?" },
        { "--adress ::", "unknown option '--adress'; did you mean '--address'?" },
        { "--daemonise", "unknown option '--daemonise'; 'midge --help' lists all" },
        { "--a-very-long-option-name-that-nobody-would-ever-have-given",
          "unknown option '--a-very-long-option-name-that-nobody-would-ever-have-given'; 'midge --help' "
          "lists all" },
        { "--", "unknown option '--'; 'midge --help' lists all" },
        { "-z", "unknown option '-z'; 'midge --help' lists all" },
        { "-vz", "unknown option '-z'; 'midge --help' lists all" },
        { "-", "'-' is not an option; 'midge --help' lists all" },
        { "1883", "'1883' is not an option; 'midge --help' lists all" },
        { "-p", "option '--port' needs a value: --port PORT" },
        { "-v --port", "option '--port' needs a value: --port PORT" },
        { "--verbose=1", "option '--verbose' takes no value, '1' is too much" },
        { "--sys-interval 86401", "option '--sys-interval' cannot be '86401': a number of seconds up to "
                                  "86400, 0 for no $SYS topics" },
        { "--address=",
          "option '--address' cannot be '': give an address, a host name, or * for every address" },
    };
    static const char *const ports[] = { "65536", "-1", "+1", "x", "1x", "99999999999999999999" };
    struct options o;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_false(parse(&o, rows[i].line));
        assert_string_equal(why, rows[i].why);
    }
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        char line[64] = "-p ", expected[256] = "option '--port' cannot be '";
        assert_false(parse(&o, strcat(line, ports[i])));
        strcat(strcat(strcat(expected, ports[i]), "': "), port);
        assert_string_equal(why, expected);
    }
}

static void help_has_a_line_for_each(void **state)
{
    (void)state;
    static const char *const names[] = { "--sys-interval SECONDS",
                                         "--port PORT",
                                         "--address ADDRESS",
                                         "--verbose",
                                         "--daemon",
                                         "--help",
                                         "--version" };
    char help[2048];
    options_help(help, sizeof help);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(strstr(help, names[i]));
    char cut[100];
    options_help(cut, sizeof cut); /* stays inside */
    assert_true(strlen(cut) < sizeof cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_means_loopback_on_1883),
        cmocka_unit_test(each_way_to_write_an_option),
        cmocka_unit_test(addresses_add_up_and_the_last_port_counts),
        cmocka_unit_test(help_and_version_end_the_reading),
        cmocka_unit_test(each_mistake_has_its_line),
        cmocka_unit_test(help_has_a_line_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
