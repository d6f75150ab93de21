/* disk.c - the files, the writes that wait for a sync, and what SQLite asks of a VFS. */
#include "disk.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define FILES 8
#define SECTOR 512

struct bytes {
    uint8_t *at;
    sqlite3_int64 len;
};

/* A change that is not synced: a write, or with `data` NULL a truncation to `offset`. */
struct change {
    struct change *next;
    sqlite3_int64 offset;
    int len;
    uint8_t *data;
};

struct file {
    char name[64]; /* empty: there is no such file */
    struct bytes seen;    /* what whoever reads gets */
    struct bytes on_disk; /* what was synced */
    struct change *changes, **last;
};

struct handle {
    sqlite3_file base;
    struct file *file;
};

static struct {
    struct file files[FILES];
    unsigned changes, fail_at, syncs;
    bool failed;
} disk;

/* ---- bytes and changes --------------------------------------------------------------------------------- */

static void resize(struct bytes *b, sqlite3_int64 len)
{
    if (len > b->len) {
        b->at = realloc(b->at, (size_t)len);
        if (!b->at)
            abort();
        memset(b->at + b->len, 0, (size_t)(len - b->len));
    }
    b->len = len;
}

static void write_part(struct bytes *b, const struct change *c, int from, int to)
{
    if (b->len < c->offset + to)
        resize(b, c->offset + to);
    memcpy(b->at + c->offset + from, c->data + from, (size_t)(to - from));
}

static void apply(struct bytes *b, const struct change *c)
{
    if (c->data)
        write_part(b, c, 0, c->len);
    else if (c->offset < b->len)
        resize(b, c->offset);
}

static void note(struct file *f, sqlite3_int64 offset, const void *data, int len)
{
    struct change *c = calloc(1, sizeof *c);
    uint8_t *copy = data ? malloc((size_t)len + 1) : NULL;
    if (!c || (data && !copy))
        abort();
    if (data)
        memcpy(copy, data, (size_t)len);
    *c = (struct change){ .offset = offset, .len = len, .data = copy };
    *f->last = c;
    f->last = &c->next;
}

static void forget_changes(struct file *f)
{
    while (f->changes) {
        struct change *c = f->changes;
        f->changes = c->next;
        free(c->data);
        free(c);
    }
    f->last = &f->changes;
}

static void forget_file(struct file *f)
{
    forget_changes(f);
    free(f->seen.at);
    free(f->on_disk.at);
    memset(f, 0, sizeof *f);
    f->last = &f->changes;
}

static void copy_bytes(struct bytes *to, const struct bytes *from)
{
    resize(to, from->len);
    if (from->len)
        memcpy(to->at, from->at, (size_t)from->len);
}

static void sync_file(struct file *f)
{
    forget_changes(f);
    copy_bytes(&f->on_disk, &f->seen);
}

/* ---- the power ----------------------------------------------------------------------------------------- */

/* False: the power is gone. The change at which it goes is half done (write_file), or not at all. */
static bool change_disk(void)
{
    if (disk.failed)
        return false;
    disk.failed = ++disk.changes == disk.fail_at;
    return !disk.failed;
}

static bool toss(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state & 1;
}

static void tear(struct bytes *b, const struct change *c, uint32_t *random)
{
    if (!c->data) {
        if (toss(random))
            apply(b, c);
        return;
    }
    for (int from = 0; from < c->len; from += SECTOR)
        if (toss(random))
            write_part(b, c, from, from + SECTOR < c->len ? from + SECTOR : c->len);
}

void disk_power_on(enum disk_leaves leaves, uint32_t seed)
{
    uint32_t random = seed * 2654435761u | 1u;
    for (struct file *f = disk.files; f < disk.files + FILES; f++) {
        for (const struct change *c = f->changes; c && leaves != LEAVES_NOTHING; c = c->next) {
            if (leaves == LEAVES_ALL)
                apply(&f->on_disk, c);
            else
                tear(&f->on_disk, c, &random);
        }
        forget_changes(f);
        copy_bytes(&f->seen, &f->on_disk);
    }
    disk.failed = false;
    disk.fail_at = 0;
}

void disk_clear(void)
{
    for (struct file *f = disk.files; f < disk.files + FILES; f++)
        forget_file(f);
    disk.changes = disk.fail_at = disk.syncs = 0;
    disk.failed = false;
}

void disk_fail_at(unsigned n)
{
    disk.fail_at = n;
}

unsigned disk_changes(void)
{
    return disk.changes;
}

unsigned disk_syncs(void)
{
    return disk.syncs;
}

bool disk_failed(void)
{
    return disk.failed;
}

/* ---- files, as SQLite sees them ------------------------------------------------------------------------ */

static struct file *file_of(sqlite3_file *file)
{
    return ((struct handle *)(void *)file)->file;
}

static int close_file(sqlite3_file *file)
{
    (void)file;
    return SQLITE_OK;
}

static int read_file(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    const struct bytes *b = &file_of(file)->seen;
    sqlite3_int64 there = b->len - offset;
    int n = there < 0 ? 0 : there < len ? (int)there : len;
    if (n)
        memcpy(out, b->at + offset, (size_t)n);
    memset((char *)out + n, 0, (size_t)(len - n));
    return n < len ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int write_file(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    struct file *f = file_of(file);
    bool was_on = !disk.failed, ok = change_disk();
    if (!was_on)
        return SQLITE_IOERR_WRITE;
    note(f, offset, data, ok ? len : len / 2);
    write_part(&f->seen, &(struct change){ .offset = offset, .len = len, .data = (uint8_t *)(uintptr_t)data }, 0, len);
    return ok ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 len)
{
    struct file *f = file_of(file);
    if (!change_disk())
        return SQLITE_IOERR_TRUNCATE;
    note(f, len, NULL, 0);
    resize(&f->seen, len);
    return SQLITE_OK;
}

static int sync_to_disk(sqlite3_file *file, int flags)
{
    (void)flags;
    if (!change_disk())
        return SQLITE_IOERR_FSYNC;
    disk.syncs++;
    sync_file(file_of(file));
    return SQLITE_OK;
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *size)
{
    *size = file_of(file)->seen.len;
    return SQLITE_OK;
}

static int lock_file(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int is_reserved(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

static int control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

/* Nothing is promised: writes may come out torn and in any order. */
static int promises(sqlite3_file *file)
{
    (void)file;
    return 0;
}

/* Version 1: no shared memory, so WAL works with locking_mode EXCLUSIVE alone. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_to_disk,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = lock_file,
    .xCheckReservedLock = is_reserved,
    .xFileControl = control,
    .xSectorSize = sector,
    .xDeviceCharacteristics = promises,
};

static struct file *find(const char *name)
{
    for (struct file *f = disk.files; f < disk.files + FILES; f++)
        if (f->name[0] && strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    (void)vfs;
    struct file *f = name ? find(name) : NULL;
    file->pMethods = NULL;
    for (struct file *free_one = disk.files; !f && name && free_one < disk.files + FILES; free_one++)
        if (!free_one->name[0])
            f = free_one;
    if (!f || strlen(name) >= sizeof f->name || disk.failed)
        return SQLITE_CANTOPEN;
    strcpy(f->name, name);
    ((struct handle *)(void *)file)->file = f;
    file->pMethods = &methods;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    (void)sync_folder; /* a removal is on the disk at once */
    struct file *f = find(name);
    if (!change_disk())
        return SQLITE_IOERR_DELETE;
    if (f)
        forget_file(f);
    return f ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

static int is_there(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    (void)vfs;
    (void)flags;
    *out = find(name) != NULL;
    return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

static int random_bytes(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    memset(out, 0x5A, (size_t)size); /* the same in every run */
    return size;
}

static int nap(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int what_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    *out = 2460000.5;
    return SQLITE_OK;
}

bool disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 60,
        .zName = DISK_NAME,
        .xOpen = open_file,
        .xDelete = delete_file,
        .xAccess = is_there,
        .xFullPathname = full_name,
        .xRandomness = random_bytes,
        .xSleep = nap,
        .xCurrentTime = what_time,
    };
    disk_clear();
    return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK;
}
