/* fuzz_topic.c - filters and names, in the tree of subscriptions and among the retained messages, against matching
 * level by level as the standard tells it.
 *
 * Input: lines, of which the first byte says what to do with the rest: '+' subscribe, '-' unsubscribe, 'r' retain,
 * 'c' clear a retained message, else publish. Other bytes are taken as they are.
 */
#include "fuzz.h"

#include "base/slice.h"
#include "base/utf8.h"
#include "state/msg.h"
#include "state/retain.h"
#include "state/session.h"
#include "state/shared.h"
#include "state/subtree.h"
#include "unit/naive.h"

enum { FILTERS = 64, NAMES = 64, TEXT = 600 };

static struct {
    char text[TEXT];
    struct midge_sub *sub;
} filters[FILTERS];
static char names[NAMES][TEXT];
static struct fuzz_heap heap;
static struct midge_mem mem;
static struct midge_subtree tree;
static struct midge_retain retain;
static struct midge_session session;

static int filter_at(const char *text)
{
    for (int i = 0; i < FILTERS; i++) {
        if (strcmp(filters[i].text, text) == 0)
            return i;
    }
    return -1;
}

static int name_at(const char *text)
{
    for (int i = 0; i < NAMES; i++) {
        if (strcmp(names[i], text) == 0)
            return i;
    }
    return -1;
}

/* "$share/g/a" matches as "a". */
static const char *path_of(const char *text)
{
    if (strncmp(text, "$share/", 7) != 0)
        return text;
    const char *end = strchr(text + 7, '/');
    return end ? end + 1 : text;
}

static bool filter_ok(const char *text)
{
    const char *path = path_of(text);
    if (strncmp(text, "$share/", 7) == 0 &&
        (path == text || path == text + 8 || strcspn(text + 7, "+#/") != (size_t)(path - text - 8)))
        return false;
    if (!*path)
        return false;
    for (const char *s = path; *s; s++) {
        if (*s == '#' && ((s > path && s[-1] != '/') || s[1]))
            return false;
        if (*s == '+' && ((s > path && s[-1] != '/') || (s[1] && s[1] != '/')))
            return false;
    }
    return true;
}

/* ---- the steps ----------------------------------------------------------------------------------------- */

static bool found[FILTERS];

static bool find_sub(void *arg, struct midge_sub *sub)
{
    (void)arg;
    for (int i = 0; i < FILTERS; i++) {
        if (filters[i].sub == sub) {
            MUST(!found[i]);
            found[i] = true;
            return true;
        }
    }
    abort(); /* a subscription that nobody made */
}

static bool find_group(void *arg, struct midge_group *group)
{
    for (int i = 0; i < FILTERS; i++) {
        if (filters[i].sub && filters[i].sub->shared && filters[i].sub->group == group)
            find_sub(arg, filters[i].sub);
    }
    return true;
}

static void publish(const char *name)
{
    const struct midge_matcher m = { .sub = find_sub, .group = find_group };
    memset(found, 0, sizeof found);
    MUST(midge_subtree_match(&tree, midge_slice_str(name), &m));
    for (int i = 0; i < FILTERS; i++)
        MUST(found[i] == (filters[i].sub && naive_matches(path_of(filters[i].text), name)));
}

static void scan(const char *text)
{
    struct midge_filter f;
    if (midge_filter_parse(midge_slice_str(path_of(text)), 200, &f) != MIDGE_RC_SUCCESS)
        return;
    unsigned got = 0, want = 0;
    const struct midge_msg *last = NULL;
    while ((last = midge_retain_next(&retain, &f, last)) && got <= NAMES)
        got++;
    for (int i = 0; i < NAMES; i++)
        want += names[i][0] && naive_matches(path_of(text), names[i]);
    MUST(got == want);
}

static void subscribe(const char *text)
{
    struct midge_filter f;
    const enum midge_reason rc = midge_filter_parse(midge_slice_str(text), 200, &f);
    MUST((rc != MIDGE_RC_TOPIC_FILTER_INVALID) == filter_ok(text));
    if (rc != MIDGE_RC_SUCCESS)
        return;
    scan(text);
    const int known = filter_at(text), free = filter_at("");
    MUST(midge_subtree_find(&tree, &session, &f) == (known < 0 ? NULL : filters[known].sub));
    if (known >= 0 || free < 0)
        return;
    filters[free].sub = midge_subtree_add(&tree, &session, &f);
    if (filters[free].sub)
        strcpy(filters[free].text, text);
    uint8_t back[TEXT];
    if (filters[free].sub)
        MUST(midge_sub_filter(filters[free].sub, back, sizeof back) == strlen(text) &&
             memcmp(back, text, strlen(text)) == 0);
}

static void unsubscribe_at(int i)
{
    midge_subtree_remove(&tree, filters[i].sub);
    filters[i].sub = NULL;
    filters[i].text[0] = '\0';
}

static void keep_message(const char *name)
{
    const int known = name_at(name), at = known >= 0 ? known : name_at("");
    if (at < 0)
        return;
    struct midge_msg *msg = midge_msg_new(&mem, &(struct midge_msg_parts){ .topic = midge_slice_str(name) });
    if (!msg)
        return;
    if (midge_retain_set(&retain, msg) == MIDGE_OK)
        strcpy(names[at], name);
    else
        MUST(known < 0);
    midge_msg_drop(&mem, msg);
}

static void clear(const char *name)
{
    midge_retain_remove(&retain, midge_slice_str(name));
    const int known = name_at(name);
    if (known >= 0)
        names[known][0] = '\0';
}

static void do_line(const char *line)
{
    const char *text = line + 1;
    if (!*line || !*text || !midge_utf8_valid(midge_slice_str(text)))
        return;
    const bool is_name = !strpbrk(text, "+#");
    const int known = filter_at(text);
    if (*line == '+')
        subscribe(text);
    else if (*line == '-' && known >= 0)
        unsubscribe_at(known);
    else if (*line == 'r' && is_name)
        keep_message(text);
    else if (*line == 'c' && is_name)
        clear(text);
    else if (is_name)
        publish(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const uint32_t seed[2] = { 1, 2 };
    char line[TEXT];
    fuzz_heap_open(&heap, n && bytes[0] == '!' ? 7 : 0);
    midge_mem_init(&mem, &heap.memory, SIZE_MAX, 0);
    if (!midge_subtree_init(&tree, &mem, seed))
        return 0;
    midge_retain_init(&retain, &mem);
    session = (struct midge_session){ 0 };
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n' && bytes[i] && len < TEXT - 1) {
            line[len++] = (char)bytes[i];
            continue;
        }
        line[len] = '\0';
        do_line(line);
        len = 0;
    }
    line[len] = '\0';
    do_line(line);
    for (int i = 0; i < FILTERS; i++) {
        if (filters[i].sub)
            unsubscribe_at(i);
    }
    midge_retain_clear(&retain);
    memset(names, 0, sizeof names);
    midge_subtree_clear(&tree);
    MUST(heap.used == 0 && mem.used == 0);
    return 0;
}
