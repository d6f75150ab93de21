/* cmocka.h - the part of cmocka's interface that the unit tests use, for targets without a libcmocka (-m32, chips).
 *
 * Used only where the system has none; see tests/CMakeLists.txt. Include <stdarg.h>, <stddef.h>, <stdint.h> and
 * <setjmp.h> first, as for cmocka itself.
 */
#ifndef MIDGE_TESTS_CMOCKA_H
#define MIDGE_TESTS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

/* How a test ends before its last line. */
enum { CM_FAILED = 1, CM_SKIPPED };
static jmp_buf cm_end;

#define cmocka_unit_test(f) { #f, f, NULL, NULL, NULL }
#define cmocka_unit_test_setup(f, setup) { #f, f, setup, NULL, NULL }
#define cmocka_unit_test_teardown(f, teardown) { #f, f, NULL, teardown, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) { #f, f, setup, teardown, NULL }
#define cmocka_unit_test_prestate(f, state) { #f, f, NULL, NULL, state }
#define cmocka_unit_test_prestate_setup_teardown(f, setup, teardown, state) { #f, f, setup, teardown, state }

static inline void cm_check(int ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: error: %s\n", file, line, what);
    longjmp(cm_end, CM_FAILED);
}

static inline void cm_check_int(unsigned long long a, unsigned long long b, int want_equal, const char *what,
                                const char *file, int line)
{
    if ((a == b) == (want_equal != 0))
        return;
    fprintf(stderr, "%s:%d: error: %s: %llu (0x%llx), %llu (0x%llx)\n", file, line, what, a, a, b, b);
    longjmp(cm_end, CM_FAILED);
}

#define CM_INT(v) ((unsigned long long)(v))

#define assert_true(c) cm_check(!!(c), #c, __FILE__, __LINE__)
#define assert_false(c) cm_check(!(c), "not " #c, __FILE__, __LINE__)
#define assert_null(p) cm_check((p) == NULL, #p " is NULL", __FILE__, __LINE__)
#define assert_non_null(p) cm_check((p) != NULL, #p " is not NULL", __FILE__, __LINE__)
#define assert_ptr_equal(a, b) cm_check((const void *)(a) == (const void *)(b), #a " is " #b, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b) \
    cm_check((const void *)(a) != (const void *)(b), #a " is not " #b, __FILE__, __LINE__)
#define assert_int_equal(a, b) cm_check_int(CM_INT(a), CM_INT(b), 1, #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) cm_check_int(CM_INT(a), CM_INT(b), 0, #a " != " #b, __FILE__, __LINE__)
#define assert_in_range(v, low, high)                                                                     \
    cm_check(CM_INT(v) >= CM_INT(low) && CM_INT(v) <= CM_INT(high), #v " in " #low ".." #high, __FILE__, \
             __LINE__)
#define assert_string_equal(a, b) cm_check(strcmp((a), (b)) == 0, #a " equals " #b, __FILE__, __LINE__)
#define assert_string_not_equal(a, b) cm_check(strcmp((a), (b)) != 0, #a " differs from " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n) cm_check(memcmp((a), (b), (n)) == 0, #a " equals " #b, __FILE__, __LINE__)
#define assert_memory_not_equal(a, b, n) \
    cm_check(memcmp((a), (b), (n)) != 0, #a " differs from " #b, __FILE__, __LINE__)
#define fail() cm_check(0, "fail()", __FILE__, __LINE__)
#define fail_msg(...)                                                   \
    do {                                                                \
        fprintf(stderr, __VA_ARGS__);                                   \
        cm_check(0, ": fail_msg()", __FILE__, __LINE__);                \
    } while (0)
#define skip() longjmp(cm_end, CM_SKIPPED)
#define print_message(...) printf(__VA_ARGS__)

/* True when setup, test and teardown all passed; teardown runs after a failed test too. */
static inline int cm_run_one(const struct CMUnitTest *t, void *group_state)
{
    void *state = t->initial_state ? t->initial_state : group_state;
    if (t->setup_func && t->setup_func(&state) != 0)
        return 0;
    volatile int passed = 1;
    switch (setjmp(cm_end)) {
    case 0:
        t->test_func(&state);
        break;
    case CM_FAILED:
        passed = 0;
        break;
    default:
        printf("skipped: %s\n", t->name);
    }
    if (t->teardown_func && t->teardown_func(&state) != 0)
        return 0;
    return passed;
}

static inline int cm_run_group(const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                               CMFixtureFunction teardown)
{
    void *state = NULL;
    if (setup && setup(&state) != 0)
        return (int)count;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        int ok = cm_run_one(&tests[i], state);
        printf("[ %s ] %s\n", ok ? " OK " : "FAILED", tests[i].name);
        failed += !ok;
    }
    if (teardown && teardown(&state) != 0)
        failed++;
    printf("%zu tests, %d failed\n", count, failed);
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
    cm_run_group(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) cmocka_run_group_tests(tests, setup, teardown)

#endif
