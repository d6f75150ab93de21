/* login_worker.c - passwords verified on a thread of their own; whoever fails waits longer each time. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "login_worker.h"

#include "password.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define JOBS_MAX 1024u    /* logins that wait, in all */
#define WAIT_MAX_MS 6000u /* the longest wait of one: CONNECT has its own deadline */
#define SLOTS 1024u       /* addresses that are remembered */
#define FREE_FAILURES 3u
#define STEP_MS 250u
#define STEPS_MAX 4u      /* 4 s between two */
#define TOKENS 8192u      /* passwords that were right and are known again */
#define FORGIVE_MS 60000u /* a failure less for each of these without one */

/* One login. The loop's thread has it, then the worker, then the loop's thread again. */
struct job {
    struct job *next;
    struct midge_login_worker *worker;
    struct midge_conn *conn;       /* NULL: it is gone. Of the loop's thread */
    struct midge_login_file *file; /* holds */
    const char *hash;              /* lent by file */
    uint64_t slot;
    uint8_t token[MIDGE_PASSWORD_TOKEN_BYTES];
    midge_ms due;
    struct midge_login_answer yes;
    bool known, verified, matches;
    bool slowed; /* it has been given its turn */
    bool gone;   /* nobody waits for it: not worth hashing. Guarded by the lock */
    uint32_t password_len;
    uint8_t bytes[]; /* password, client id */
};

struct slot {
    uint64_t key; /* 0 = free */
    uint32_t failures;
    midge_ms last; /* failure */
    midge_ms next; /* nobody's turn before */
};

struct midge_login_worker {
    struct midge_loop *loop;
    pthread_t thread;
    uint64_t seed;
    uint64_t failures;
    uint32_t count;
    struct slot slots[SLOTS];
    uint8_t key[MIDGE_PASSWORD_TOKEN_BYTES];
    uint8_t tokens[TOKENS][MIDGE_PASSWORD_TOKEN_BYTES];

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct job *due;  /* earliest first */
    struct job *done; /* not yet seen by the loop's thread */
    bool posted;      /* the loop's thread is going to look at `done` */
    bool ends;
    struct job *all[JOBS_MAX]; /* of the loop's thread */
};

static midge_ms clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (midge_ms)t.tv_sec * 1000 + (midge_ms)t.tv_nsec / 1000000;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* An IPv4 address; of IPv6 the /64, as one host has it all; other text as it is. */
static uint64_t key_of(const struct midge_login_worker *w, const char *address)
{
    char host[MIDGE_PEER_TEXT];
    uint8_t bytes[16];
    const char *start = address + (*address == '[');
    const char *end = *address == '[' ? strchr(address, ']') : strrchr(address, ':');
    size_t n = end ? (size_t)(end - start) : strlen(start);
    n = n < sizeof host ? n : sizeof host - 1;
    memcpy(host, start, n);
    host[n] = '\0';
    uint64_t h =
        inet_pton(AF_INET6, host, bytes) == 1 ? mix(w->seed, bytes, 8) : mix(w->seed, (uint8_t *)host, n);
    return h ? h : 1;
}

/* The address's slot, or the one of its neighbours that has been quiet longest. */
static struct slot *slot_of(struct midge_login_worker *w, uint64_t key)
{
    struct slot *best = &w->slots[key % SLOTS];
    for (uint32_t i = 0; i < 8; i++) {
        struct slot *s = &w->slots[(key + i) % SLOTS];
        if (s->key == key)
            return s;
        if (s->last < best->last)
            best = s;
    }
    *best = (struct slot){ .key = key };
    return best;
}

static void forgive(struct slot *s, midge_ms now)
{
    if (now < s->last + FORGIVE_MS)
        return;
    midge_ms steps = (now - s->last) / FORGIVE_MS;
    s->failures = steps < s->failures ? s->failures - (uint32_t)steps : 0;
    s->last += steps * FORGIVE_MS;
}

/* Gives the job its address's next turn. False: too many of that address wait. */
static bool take_turn(struct midge_login_worker *w, struct job *j, midge_ms now)
{
    struct slot *s = slot_of(w, j->slot);
    forgive(s, now);
    j->due = now;
    if (s->failures < FREE_FAILURES)
        return true;
    uint32_t steps = s->failures - FREE_FAILURES;
    j->due = s->next > now ? s->next : now;
    if (j->due - now > WAIT_MAX_MS)
        return false;
    s->next = j->due + ((midge_ms)STEP_MS << (steps < STEPS_MAX ? steps : STEPS_MAX));
    j->slowed = true;
    return true;
}

static void note_failure(struct midge_login_worker *w, uint64_t key, midge_ms now)
{
    struct slot *s = slot_of(w, key);
    forgive(s, now);
    w->failures++;
    s->failures++;
    s->last = now;
}

/* ---- who is known again -------------------------------------------------------------------------------- */

static uint8_t *token_place(struct midge_login_worker *w, const uint8_t token[MIDGE_PASSWORD_TOKEN_BYTES])
{
    return w->tokens[((uint32_t)token[0] | (uint32_t)token[1] << 8) % TOKENS];
}

static bool is_known(struct midge_login_worker *w, const struct job *j)
{
    return j->known && CRYPTO_memcmp(token_place(w, j->token), j->token, sizeof j->token) == 0;
}

static void remember(struct midge_login_worker *w, const struct job *j)
{
    memcpy(token_place(w, j->token), j->token, sizeof j->token);
}

/* ---- the worker's thread ------------------------------------------------------------------------------- */

static void free_job(struct job *j)
{
    midge_login_file_drop(j->file);
    explicit_bzero(j->bytes, j->password_len);
    free(j);
}

/* Waits until the first job is due. NULL: it is over. The lock is held. */
static struct job *next_job(struct midge_login_worker *w)
{
    while (!w->ends) {
        midge_ms now = clock_ms();
        if (w->due && w->due->due <= now)
            break;
        if (!w->due) {
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        const struct timespec until = { .tv_sec = (time_t)(w->due->due / 1000),
                                        .tv_nsec = (long)(w->due->due % 1000) * 1000000 };
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    }
    struct job *j = w->ends ? NULL : w->due;
    if (j)
        w->due = j->next;
    return j;
}

static void collect(void *user, struct midge *m, midge_ms now);

static void verify(struct job *j)
{
    const struct midge_slice password = { j->bytes, j->password_len };
    j->matches = midge_password_matches(j->hash, password) && j->known;
    j->verified = true;
    explicit_bzero(j->bytes, j->password_len);
}

static void *work(void *arg)
{
    struct midge_login_worker *w = arg;
    struct job *j;
    pthread_mutex_lock(&w->lock);
    while ((j = next_job(w))) {
        bool wanted = !j->gone;
        pthread_mutex_unlock(&w->lock);
        if (wanted)
            verify(j);
        pthread_mutex_lock(&w->lock);
        j->next = w->done;
        w->done = j;
        if (!w->posted) /* a full postbox: the next one that is done tries again */
            w->posted = midge_post_call(w->loop, collect, w) == MIDGE_OK;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the loop's thread --------------------------------------------------------------------------------- */

static void forget(struct midge_login_worker *w, const struct job *j)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->all[i] == j) {
            w->all[i] = w->all[--w->count];
            return;
        }
}

static void answer(struct job *j, const struct midge_login_answer *a, midge_ms now)
{
    if (j->conn)
        midge_login_done(j->conn, a, now);
    forget(j->worker, j);
    free_job(j);
}

static void hand_over(struct midge_login_worker *w, struct job *j)
{
    pthread_mutex_lock(&w->lock);
    struct job **at = &w->due;
    while (*at && (*at)->due <= j->due)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

/* Those of an address that came in one burst and were not looked at yet. */
static struct job *take_back(struct midge_login_worker *w, uint64_t key)
{
    struct job *taken = NULL, **end = &taken;
    pthread_mutex_lock(&w->lock);
    for (struct job **at = &w->due; *at;) {
        struct job *j = *at;
        if (j->slot != key || j->slowed) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        *end = j;
        end = &j->next;
    }
    pthread_mutex_unlock(&w->lock);
    *end = NULL;
    return taken;
}

static void slow_down(struct midge_login_worker *w, uint64_t key, midge_ms now)
{
    const struct midge_login_answer no = { .answer = MIDGE_DENY,
                                           .reason = MIDGE_RC_CONNECTION_RATE_EXCEEDED };
    for (struct job *j = take_back(w, key), *next; j; j = next) {
        next = j->next;
        if (take_turn(w, j, clock_ms()))
            hand_over(w, j);
        else
            answer(j, &no, now);
    }
}

static void settle(struct job *j, midge_ms now)
{
    struct midge_login_worker *w = j->worker;
    uint64_t key = j->slot;
    bool failed = !j->matches, guess = failed && j->verified;
    const struct midge_login_answer no = { .answer = MIDGE_DENY,
                                           .reason = MIDGE_RC_BAD_USER_NAME_OR_PASSWORD };
    if (!failed)
        remember(w, j);
    answer(j, failed ? &no : &j->yes, now);
    if (!guess)
        return;
    note_failure(w, key, clock_ms());
    if (slot_of(w, key)->failures >= FREE_FAILURES)
        slow_down(w, key, now);
}

static void collect(void *user, struct midge *m, midge_ms now)
{
    (void)m;
    struct midge_login_worker *w = user;
    pthread_mutex_lock(&w->lock);
    struct job *j = w->done;
    w->done = NULL;
    w->posted = false;
    pthread_mutex_unlock(&w->lock);
    while (j) {
        struct job *next = j->next;
        settle(j, now);
        j = next;
    }
}

void midge_login_worker_lost(struct midge_login_worker *w, const struct midge_conn *conn)
{
    struct job *j = NULL;
    for (uint32_t i = 0; i < w->count && !j; i++)
        j = w->all[i]->conn == conn ? w->all[i] : NULL;
    if (!j)
        return;
    j->conn = NULL;
    pthread_mutex_lock(&w->lock);
    j->gone = true;
    pthread_mutex_unlock(&w->lock);
}

static struct job *new_job(struct midge_login_worker *w, const struct midge_login *in,
                           struct midge_login_file *file, const struct midge_login_answer *yes)
{
    size_t id_len = yes->client_id.data ? yes->client_id.len : 0;
    struct job *j = malloc(sizeof *j + in->password.len + id_len);
    if (!j)
        return NULL;
    const char *hash = midge_login_file_find(file, in->who.username);
    *j = (struct job){ .worker = w,
                       .conn = in->conn,
                       .file = midge_login_file_hold(file),
                       .hash = hash ? hash : midge_login_file_decoy(file),
                       .yes = *yes,
                       .known = hash && in->password.data,
                       .password_len = in->password.len };
    if (in->password.len)
        memcpy(j->bytes, in->password.data, in->password.len);
    if (id_len)
        memcpy(j->bytes + in->password.len, yes->client_id.data, id_len);
    if (id_len)
        j->yes.client_id.data = j->bytes + in->password.len;
    if (midge_password_token(w->key, j->hash, in->password, j->token))
        return j;
    free_job(j);
    return NULL;
}

enum midge_answer midge_login_worker_ask(struct midge_login_worker *w, const struct midge_login *in,
                                         struct midge_login_file *file, const char *address,
                                         const struct midge_login_answer *yes, uint8_t *reason)
{
    struct job *j = w->count < JOBS_MAX ? new_job(w, in, file, yes) : NULL;
    *reason = MIDGE_RC_SERVER_BUSY;
    if (!j)
        return MIDGE_DENY;
    if (is_known(w, j)) {
        free_job(j);
        return MIDGE_ALLOW;
    }
    j->slot = key_of(w, address);
    if (!take_turn(w, j, clock_ms())) {
        free_job(j);
        *reason = MIDGE_RC_CONNECTION_RATE_EXCEEDED;
        return MIDGE_DENY;
    }
    w->all[w->count++] = j;
    hand_over(w, j);
    return MIDGE_LATER;
}

uint64_t midge_login_worker_failures(const struct midge_login_worker *w)
{
    return w->failures;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool begin(struct midge_login_worker *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    return pthread_create(&w->thread, NULL, work, w) == 0;
}

struct midge_login_worker *midge_login_worker_new(struct midge_loop *loop)
{
    struct midge_login_worker *w = calloc(1, sizeof *w);
    if (w)
        w->loop = loop;
    if (w && getrandom(&w->seed, sizeof w->seed, 0) == sizeof w->seed &&
        getrandom(w->key, sizeof w->key, 0) == sizeof w->key && begin(w))
        return w;
    free(w);
    return NULL;
}

void midge_login_worker_free(struct midge_login_worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    for (uint32_t i = 0; i < w->count; i++)
        free_job(w->all[i]);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
