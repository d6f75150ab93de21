/* fail.c - assertions: they say where and what, and end the test. */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>

static jmp_buf test_end;
static enum outcome how; /* it ended there */

static _Noreturn void leave_as(enum outcome outcome)
{
    how = outcome;
    longjmp(test_end, 1);
}

void print_hex(FILE *out, const char *label, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    const size_t shown = n > 400 ? 400 : n;
    fprintf(out, "%s", label);
    for (size_t i = 0; i < shown; i++)
        fprintf(out, " %02x", at[i]);
    fprintf(out, shown < n ? " ... (%zu bytes)\n" : "\n", n);
}

/* Where memory was refused on purpose a test may find that something is missing: that is no failure. */
static void fail_begin(struct place at)
{
    if (run_mode.refuse)
        leave_as(FAILED);
    fflush(stdout);
    fprintf(stderr, "%s:%d: ", at.file, at.line);
}

void fail_at(struct place at, const char *format, ...)
{
    va_list args;
    fail_begin(at);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    leave_as(FAILED);
}

_Noreturn void fail_bytes(struct place at, const char *what, const void *got, size_t got_len,
                          const void *want, size_t want_len)
{
    fail_begin(at);
    fprintf(stderr, "%s\n", what);
    print_hex(stderr, "    got ", got, got_len);
    if (want)
        print_hex(stderr, "    want", want, want_len);
    leave_as(FAILED);
}

void check_equal_at(struct place at, const char *what, unsigned long long got, unsigned long long want)
{
    if (got != want)
        fail_at(at, "%s is %llu (0x%llx), not %llu (0x%llx)", what, got, got, want, want);
}

void check_text_at(struct place at, const char *what, const char *got, const char *want)
{
    if (!got || !want || strcmp(got, want) != 0)
        fail_at(at, "%s is '%s', not '%s'", what, got ? got : "(null)", want ? want : "(null)");
}

void check_bytes_at(struct place at, const void *got, size_t got_len, const void *want, size_t want_len)
{
    if (got_len != want_len || (got_len && memcmp(got, want, got_len) != 0))
        fail_bytes(at, "other bytes than expected", got, got_len, want, want_len);
}

_Noreturn void broken(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    leave_as(BROKEN);
}

_Noreturn void broken_packet(const char *rule, const void *bytes, size_t n)
{
    fflush(stdout);
    print_hex(stderr, "    sent", bytes, n);
    broken("%s", rule);
}

enum outcome outcome_of(void (*body)(const struct test *t), const struct test *t)
{
    if (setjmp(test_end) != 0)
        return how;
    body(t);
    return PASSED;
}
