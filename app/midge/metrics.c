/* metrics.c - the admin listener: Prometheus' numbers at /metrics, "is it well?" at /health. */
#include "inside.h"

#include "desk.h"

#include <string.h>

static void put_numbers(const struct inside *in, FILE *out)
{
    struct number all[NUMBERS_MAX];
    size_t count = inside_numbers(in, all);
    for (size_t i = 0; i < count; i++) {
        const struct number *n = &all[i];
        if (i == 0 || strcmp(n->name, all[i - 1].name) != 0)
            fprintf(out, "# HELP midge_%s %s\n# TYPE midge_%s %s\n", n->name, n->help, n->name,
                    n->counter ? "counter" : "gauge");
        if (n->label)
            fprintf(out, "midge_%s{%s=\"%s\"} %llu\n", n->name, n->label, n->value_of_label,
                    (unsigned long long)n->value);
        else
            fprintf(out, "midge_%s %llu\n", n->name, (unsigned long long)n->value);
    }
    fprintf(out, "# HELP midge_build_info The version\n# TYPE midge_build_info gauge\n");
    fprintf(out, "midge_build_info{version=\"%s\"} 1\n", MIDGE_VERSION);
}

/* That it answers at all says that the loop turns. */
static void put_health(const struct inside *in, FILE *out)
{
    (void)in;
    fputs("ok\n", out);
}

static const struct page {
    const char *path, *type;
    void (*put)(const struct inside *in, FILE *out);
} pages[] = {
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", put_numbers },
    { "/health", "text/plain; charset=utf-8", put_health },
};

static const struct page *find_page(const char *request)
{
    size_t n = strcspn(request, " ?");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strlen(pages[i].path) == n && memcmp(pages[i].path, request, n) == 0)
            return &pages[i];
    return NULL;
}

static void refuse(FILE *out, const char *status)
{
    fprintf(out,
            "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
            status, strlen(status) + 1, status);
}

static void answer(const struct inside *in, const char *request, FILE *out)
{
    bool head = strncmp(request, "HEAD ", 5) == 0;
    const struct page *p = find_page(request + (head ? 5 : 4));
    if (!head && strncmp(request, "GET ", 4) != 0) {
        refuse(out, "405 Method Not Allowed");
        return;
    }
    if (!p) {
        refuse(out, "404 Not Found");
        return;
    }
    if (in->store_failed && p->put == put_health) {
        refuse(out, "503 The store failed");
        return;
    }
    fprintf(out,
            "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            p->type);
    if (!head)
        p->put(in, out);
}

bool metrics_answer(void *inside, struct desk_talk *talk, char *line, FILE *out)
{
    if (talk->lines == 1)
        snprintf(talk->request, sizeof talk->request, "%s", line);
    if (*line)
        return talk->lines < 100;
    answer(inside, talk->request, out);
    return false;
}
