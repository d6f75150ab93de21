/* accounts.c - accounts and rights as blobs in NVS, read when somebody asks and kept until something changes.
 *
 *     format 1 | flags | length of the name | rounds (4 bytes) | salt | digest | name | rights
 */
#include "esp_config.h"

#include "midge_esp_accounts.h"
#include "nvs_store.h"
#include "password.h"

#include "esp_log.h"
#include "nvs.h"
#include "plug/topics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TAG "midge"
#define FORMAT 1u
#define HAS_PASSWORD 1u
#define HAS_RIGHTS 2u
#define IS_ANONYMOUS 4u
#define NAME_MAX_BYTES 200u
#define RIGHTS_MAX_BYTES 2000u
#define FILTER_MAX_BYTES 320u /* with the names filled in */

enum { AT_FORMAT, AT_FLAGS, AT_NAME_LEN, AT_ROUNDS, AT_SALT = AT_ROUNDS + 4, AT_DIGEST = AT_SALT + MIDGE_SALT,
       AT_NAME = AT_DIGEST + MIDGE_DIGEST };

struct account {
    struct account *next;
    size_t len;
    uint8_t blob[];
};

struct midge_esp_accounts {
    nvs_handle_t handle;
    atomic_uint changes;    /* made in NVS, by any task */
    unsigned seen;          /* of these, by the broker's */
    struct account *loaded; /* the broker's task */
};

/* ---- blobs --------------------------------------------------------------------------------------------- */

static struct midge_slice slice(const void *data, size_t len)
{
    return (struct midge_slice){ .data = data, .len = (uint32_t)len };
}

/* Clients without a name have an account that no name can be taken for. */
static void name_blob(char out[MIDGE_NVS_NAME], struct midge_slice name)
{
    const struct midge_slice key[2] = { slice(name.data ? "User" : "None", 4), name };
    midge_nvs_name(out, key);
}

static struct midge_slice name_of(const struct account *a)
{
    bool anonymous = a->blob[AT_FLAGS] & IS_ANONYMOUS;
    return slice(anonymous ? NULL : a->blob + AT_NAME, a->blob[AT_NAME_LEN]);
}

static struct midge_slice rights_of(const struct account *a)
{
    size_t at = AT_NAME + (size_t)a->blob[AT_NAME_LEN];
    return slice(a->blob[AT_FLAGS] & HAS_RIGHTS ? a->blob + at : NULL, a->len - at);
}

static uint32_t rounds_of(const struct account *a)
{
    const uint8_t *p = a->blob + AT_ROUNDS;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool same(struct midge_slice a, struct midge_slice b)
{
    return !a.data == !b.data && a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_whole(const struct account *a)
{
    return a->len >= AT_NAME && a->blob[AT_FORMAT] == FORMAT && a->len - AT_NAME >= a->blob[AT_NAME_LEN] &&
           rounds_of(a) > 0;
}

/* NULL: there is none, or no memory. */
static struct account *load(const struct midge_esp_accounts *all, struct midge_slice name)
{
    char key[MIDGE_NVS_NAME];
    size_t len = 0;
    name_blob(key, name);
    if (nvs_get_blob(all->handle, key, NULL, &len) != ESP_OK)
        return NULL;
    struct account *a = malloc(sizeof *a + len);
    if (!a)
        return NULL;
    a->len = len;
    if (nvs_get_blob(all->handle, key, a->blob, &a->len) == ESP_OK && is_whole(a) && same(name_of(a), name))
        return a;
    free(a);
    return NULL;
}

static void unload(struct midge_esp_accounts *all)
{
    while (all->loaded) {
        struct account *a = all->loaded;
        all->loaded = a->next;
        free(a);
    }
}

static const struct account *find(struct midge_esp_accounts *all, struct midge_slice name)
{
    unsigned changes = atomic_load(&all->changes);
    if (changes != all->seen)
        unload(all);
    all->seen = changes;
    struct account *a = all->loaded;
    while (a && !same(name_of(a), name))
        a = a->next;
    if (a || !(a = load(all, name)))
        return a;
    a->next = all->loaded;
    return all->loaded = a;
}

/* ---- login --------------------------------------------------------------------------------------------- */

static bool same_digest(const uint8_t *a, const uint8_t *b)
{
    unsigned differs = 0;
    for (size_t i = 0; i < MIDGE_DIGEST; i++)
        differs |= a[i] ^ (unsigned)b[i];
    return !differs;
}

/* Takes as long for a name that is not known. */
static bool password_fits(const struct account *a, struct midge_slice password)
{
    static const uint8_t nobody[MIDGE_SALT];
    uint8_t digest[MIDGE_DIGEST];
    if (a && !(a->blob[AT_FLAGS] & HAS_PASSWORD))
        return true;
    if (!midge_password_digest(password.data ? password : slice("", 0), a ? a->blob + AT_SALT : nobody,
                               a ? rounds_of(a) : MIDGE_ESP_PASSWORD_ROUNDS, digest))
        return false;
    return a && password.data && same_digest(digest, a->blob + AT_DIGEST);
}

void midge_esp_accounts_login(void *accounts, const struct midge_login *in, struct midge_login_answer *out)
{
    if (in->step != MIDGE_LOGIN_CONNECT || in->method.data) {
        out->answer = MIDGE_DENY;
        out->reason = MIDGE_RC_BAD_AUTHENTICATION_METHOD;
        return;
    }
    const struct account *a = find(accounts, in->who.username);
    if ((!a && !in->who.username.data) || !password_fits(a, in->password)) {
        out->answer = MIDGE_DENY;
        out->reason = in->who.username.data ? MIDGE_RC_BAD_USER_NAME_OR_PASSWORD : MIDGE_RC_NOT_AUTHORIZED;
    }
}

/* ---- rights -------------------------------------------------------------------------------------------- */

#define READ 1u
#define WRITE 2u
#define DENY 4u

struct right {
    unsigned access; /* 0: the line is wrong */
    struct midge_slice filter;
};

static unsigned access_named(const uint8_t *word, size_t n)
{
    static const struct {
        const char *word;
        unsigned access;
    } rows[] = { { "read", READ }, { "write", WRITE }, { "readwrite", READ | WRITE }, { "deny", DENY } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].word) == n && memcmp(rows[i].word, word, n) == 0)
            return rows[i].access;
    return 0;
}

/* Takes a line off the front of *rest. False: there is none. */
static bool next_right(struct midge_slice *rest, struct right *out)
{
    while (rest->len && *rest->data == '\n')
        *rest = slice(rest->data + 1, rest->len - 1);
    if (!rest->len)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    const uint8_t *blank = memchr(rest->data, ' ', len);
    size_t word = blank ? (size_t)(blank - rest->data) : len;
    out->access = word < len ? access_named(rest->data, word) : 0;
    out->filter = word < len ? slice(blank + 1, len - word - 1) : slice(NULL, 0);
    *rest = slice(rest->data + len, rest->len - len);
    return true;
}

struct question {
    const struct midge_who *who;
    enum midge_access what;
    struct midge_slice topic;
};

static bool has_wildcards(struct midge_slice s)
{
    for (uint32_t i = 0; i < s.len; i++)
        if (memchr("+#/", s.data[i], 3))
            return true;
    return false;
}

/* The filter with the names filled in. False: it cannot be said, or a name with wildcards would widen it. */
static bool fill_in(const struct right *r, const struct midge_who *who, uint8_t *out, struct midge_slice *filter)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->filter.len; i++) {
        struct midge_slice piece = slice(r->filter.data + i, 1);
        uint8_t letter = *piece.data == '%' && i + 1 < r->filter.len ? r->filter.data[i + 1] : 0;
        if (letter == 'u' || letter == 'c') {
            i++;
            piece = letter == 'u' ? who->username : who->client_id;
            if (!piece.len || has_wildcards(piece))
                return false;
        }
        if (piece.len > FILTER_MAX_BYTES - n)
            return false;
        memcpy(out + n, piece.data, piece.len);
        n += piece.len;
    }
    *filter = slice(out, n);
    return true;
}

/* A denial that cannot be said is one. */
static bool concerns(const struct right *r, const struct question *q)
{
    uint8_t filled[FILTER_MAX_BYTES];
    struct midge_slice filter;
    bool denies = r->access & DENY;
    if (!denies && !(r->access & (q->what == MIDGE_ACCESS_PUBLISH ? WRITE : READ)))
        return false;
    if (!fill_in(r, q->who, filled, &filter))
        return denies;
    if (q->what != MIDGE_ACCESS_SUBSCRIBE)
        return midge_topics_match(filter, q->topic);
    return denies ? midge_topics_covers(filter, q->topic) : midge_topics_overlap(filter, q->topic);
}

bool midge_esp_accounts_allow(void *accounts, const struct midge_who *who, enum midge_access what,
                              struct midge_slice topic)
{
    const struct question q = { .who = who, .what = what, .topic = topic };
    const struct account *a = who->version ? find(accounts, who->username) : NULL;
    struct right r;
    if (!a)
        return !who->version;
    struct midge_slice rest = rights_of(a);
    bool granted = !rest.data;
    while (next_right(&rest, &r)) {
        if (!concerns(&r, &q))
            continue;
        if (r.access & DENY)
            return false;
        granted = true;
    }
    return granted;
}

/* ---- changes ------------------------------------------------------------------------------------------- */

static bool rights_valid(const char *rights)
{
    struct midge_slice rest = slice(rights, rights ? strlen(rights) : 0);
    struct right r;
    while (next_right(&rest, &r))
        if (!r.access || r.filter.len >= FILTER_MAX_BYTES || !midge_topics_filter_valid(r.filter.data, r.filter.len))
            return false;
    return true;
}

static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

static bool write_password(struct account *a, const char *password)
{
    const uint32_t rounds = MIDGE_ESP_PASSWORD_ROUNDS;
    for (unsigned i = 0; i < 4; i++)
        a->blob[AT_ROUNDS + i] = (uint8_t)(rounds >> (24 - 8 * i));
    if (!password)
        return true;
    a->blob[AT_FLAGS] |= HAS_PASSWORD;
    return getrandom(a->blob + AT_SALT, MIDGE_SALT, 0) == (ssize_t)MIDGE_SALT &&
           midge_password_digest(slice(password, strlen(password)), a->blob + AT_SALT, rounds, a->blob + AT_DIGEST);
}

static struct account *make(const char *name, const char *password, const char *rights)
{
    size_t name_len = length(name), rights_len = length(rights), len = AT_NAME + name_len + rights_len;
    struct account *a = calloc(1, sizeof *a + len);
    if (!a)
        return NULL;
    a->len = len;
    a->blob[AT_FORMAT] = FORMAT;
    a->blob[AT_FLAGS] = (uint8_t)((rights ? HAS_RIGHTS : 0) | (name ? 0 : IS_ANONYMOUS));
    a->blob[AT_NAME_LEN] = (uint8_t)name_len;
    if (name)
        memcpy(a->blob + AT_NAME, name, name_len);
    if (rights)
        memcpy(a->blob + AT_NAME + name_len, rights, rights_len);
    if (write_password(a, password))
        return a;
    free(a);
    return NULL;
}

/* Another name may have the same blob, one in 2^48. */
static bool is_taken(const struct midge_esp_accounts *all, const char *key, struct midge_slice name)
{
    size_t len;
    struct account *a = load(all, name);
    free(a);
    return !a && nvs_get_blob(all->handle, key, NULL, &len) == ESP_OK;
}

static enum midge_err settle(struct midge_esp_accounts *all, esp_err_t err)
{
    if (err == ESP_OK)
        err = nvs_commit(all->handle);
    atomic_fetch_add(&all->changes, 1);
    return err == ESP_OK ? MIDGE_OK : err == ESP_ERR_NVS_NOT_FOUND ? MIDGE_ERR_NOT_FOUND : MIDGE_ERR_FULL;
}

enum midge_err midge_esp_accounts_set(struct midge_esp_accounts *all, const char *name, const char *password,
                                      const char *rights)
{
    char key[MIDGE_NVS_NAME];
    if (length(name) > NAME_MAX_BYTES || length(rights) > RIGHTS_MAX_BYTES || !rights_valid(rights))
        return MIDGE_ERR_INVALID;
    name_blob(key, slice(name, length(name)));
    if (is_taken(all, key, slice(name, length(name))))
        return MIDGE_ERR_FULL;
    struct account *a = make(name, password, rights);
    if (!a)
        return MIDGE_ERR_NO_MEMORY;
    enum midge_err err = settle(all, nvs_set_blob(all->handle, key, a->blob, a->len));
    free(a);
    return err;
}

enum midge_err midge_esp_accounts_remove(struct midge_esp_accounts *all, const char *name)
{
    char key[MIDGE_NVS_NAME];
    name_blob(key, slice(name, length(name)));
    return settle(all, nvs_erase_key(all->handle, key));
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct midge_esp_accounts *midge_esp_accounts_open(const char *partition, const char *space)
{
    struct midge_esp_accounts *a = calloc(1, sizeof *a);
    esp_err_t err = a ? nvs_open_from_partition(partition ? partition : NVS_DEFAULT_PART_NAME,
                                                space ? space : "midge_users", NVS_READWRITE, &a->handle)
                      : ESP_ERR_NO_MEM;
    if (err == ESP_OK)
        return a;
    ESP_LOGE(TAG, "No accounts in NVS (0x%x); has nvs_flash_init been called?", (unsigned)err);
    free(a);
    return NULL;
}

void midge_esp_accounts_close(struct midge_esp_accounts *a)
{
    if (!a)
        return;
    unload(a);
    nvs_close(a->handle);
    free(a);
}
