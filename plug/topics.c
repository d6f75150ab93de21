/* topics.c - topic filters against names and against each other, level by level. */
#include "topics.h"

#include <string.h>

/* A level at a time; `more` is false behind the last. */
struct levels {
    struct midge_slice text;
    struct midge_slice level;
    uint32_t at;
    bool more;
};

static void next(struct levels *l)
{
    l->more = l->at <= l->text.len;
    if (!l->more)
        return;
    const uint8_t *start = l->text.data + l->at;
    uint32_t left = l->text.len - l->at;
    const uint8_t *slash = left ? memchr(start, '/', left) : NULL;
    uint32_t n = slash ? (uint32_t)(slash - start) : left;
    l->level = (struct midge_slice){ start, n };
    l->at += n + 1;
}

static struct levels begin(struct midge_slice text)
{
    struct levels l = { .text = text };
    next(&l);
    return l;
}

static bool is(const struct levels *l, uint8_t wildcard)
{
    return l->more && l->level.len == 1 && l->level.data[0] == wildcard;
}

static bool is_wild(const struct levels *l)
{
    return is(l, '+') || is(l, '#');
}

static bool same(const struct levels *a, const struct levels *b)
{
    return a->level.len == b->level.len &&
           (!a->level.len || memcmp(a->level.data, b->level.data, a->level.len) == 0);
}

/* Names that begin with $ are not matched by a wildcard in the first level [MQTT-4.7.2-1]. */
static bool hidden(const struct levels *wild, const struct levels *other)
{
    return is_wild(wild) && other->level.len && other->level.data[0] == '$';
}

bool midge_topics_filter_valid(const uint8_t *filter, uint32_t len)
{
    const struct midge_slice text = { filter, len };
    bool over = false;
    struct levels l = begin(text);
    for (; len && l.more; next(&l)) {
        bool wild =
            l.level.len && (memchr(l.level.data, '+', l.level.len) || memchr(l.level.data, '#', l.level.len));
        if (over || (wild && l.level.len != 1))
            return false;
        over = is(&l, '#');
    }
    return len > 0;
}

bool midge_topics_match(struct midge_slice filter, struct midge_slice topic)
{
    struct levels f = begin(filter), t = begin(topic);
    if (hidden(&f, &t))
        return false;
    for (; f.more && !is(&f, '#'); next(&f), next(&t))
        if (!t.more || (!is(&f, '+') && !same(&f, &t)))
            return false;
    return f.more || !t.more; /* # is the parent level too */
}

bool midge_topics_covers(struct midge_slice rule, struct midge_slice filter)
{
    struct levels r = begin(rule), f = begin(filter);
    if (hidden(&r, &f))
        return false;
    for (; r.more && !is(&r, '#'); next(&r), next(&f))
        if (!f.more || is(&f, '#') || (!is(&r, '+') && (is(&f, '+') || !same(&r, &f))))
            return false;
    return r.more || !f.more;
}

bool midge_topics_overlap(struct midge_slice a, struct midge_slice b)
{
    struct levels x = begin(a), y = begin(b);
    if (hidden(&x, &y) || hidden(&y, &x))
        return false;
    for (; x.more && y.more && !is(&x, '#') && !is(&y, '#'); next(&x), next(&y))
        if (!is(&x, '+') && !is(&y, '+') && !same(&x, &y))
            return false;
    return (!x.more && !y.more) || is(&x, '#') || is(&y, '#');
}
