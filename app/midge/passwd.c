/* passwd.c - `midge passwd`: makes, changes and removes accounts in a password file; mosquitto_passwd's options.
 *
 * The new file is written beside the old one and takes its place in one step: a broker that reads it meanwhile sees
 * one of the two, and an interrupted run leaves the old one. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "passwd.h"

#include "plug/password.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define EXIT_CANNOT 1
#define EXIT_BAD_USE 2
#define PASSWORD_SIZE 4096

static const char usage[] =
    "midge passwd - accounts in a password file\n\n"
    "Usage: midge passwd [-c] [-b] [-H KIND] [-I ROUNDS] FILE USER [PASSWORD]\n"
    "       midge passwd -D FILE USER\n"
    "       midge passwd -U FILE\n\n"
    "  -c          make a new FILE; without it the user is added, or gets a new password\n"
    "  -b          PASSWORD is on the command line, where others may see it\n"
    "  -D          remove the user\n"
    "  -U          hash the passwords of a file that has them in plain text\n"
    "  -H KIND     argon2id, sha512-pbkdf2 or sha512: the best that this build has\n"
    "  -I ROUNDS   of sha512-pbkdf2 (210000)\n\n"
    "Without -b the password is asked for, or is the first line of standard input.\n";

struct job {
    bool create, batch, delete, hash_all;
    enum midge_password_kind kind;
    uint32_t rounds;
    const char *file, *user, *password;
    FILE *out;
    bool found;
};

static int fail(int status, const char *what, const char *name, const char *why)
{
    fprintf(stderr, "midge passwd: %s%s%s%s%s\n", what, name ? " '" : "", name ? name : "",
            name ? "': " : ": ", why);
    return status;
}

/* ---- options ------------------------------------------------------------------------------------------- */

static bool set_kind(struct job *j, const char *word)
{
    static const char *const kinds[] = { [MIDGE_PASSWORD_ARGON2ID] = "argon2id",
                                         [MIDGE_PASSWORD_PBKDF2] = "sha512-pbkdf2",
                                         [MIDGE_PASSWORD_SHA512] = "sha512" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(word, kinds[i]) == 0) {
            j->kind = (enum midge_password_kind)i;
            return true;
        }
    return false;
}

static bool set_rounds(struct job *j, const char *word)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);
    j->rounds = (uint32_t)n;
    return *word >= '1' && *word <= '9' && !*end && n <= MIDGE_PASSWORD_ROUNDS_MAX;
}

/* 0, or the exit status; -1: the help was shown. */
static int take_option(struct job *j, int letter)
{
    switch (letter) {
    case 'c':
        j->create = true;
        return 0;
    case 'b':
        j->batch = true;
        return 0;
    case 'D':
        j->delete = true;
        return 0;
    case 'U':
        j->hash_all = true;
        return 0;
    case 'H':
        return set_kind(j, optarg)
                   ? 0
                   : fail(EXIT_BAD_USE, "-H", optarg, "is none of: argon2id sha512-pbkdf2 sha512");
    case 'I':
        return set_rounds(j, optarg) ? 0
                                     : fail(EXIT_BAD_USE, "-I", optarg, "is no number from 1 to 2000000");
    case 'h':
        return fputs(usage, stdout) < 0 ? EXIT_CANNOT : -1;
    default:
        return fail(EXIT_BAD_USE, "options", NULL, "'midge passwd -h' lists them all");
    }
}

static int take_words(struct job *j, int argc, char *argv[])
{
    int wanted = j->hash_all ? 1 : j->batch && !j->delete ? 3 : 2;
    if (argc - optind != wanted)
        return fail(EXIT_BAD_USE, "arguments", NULL,
                    wanted == 1   ? "one is wanted: FILE"
                    : wanted == 2 ? "two are wanted: FILE USER"
                                  : "three are wanted: FILE USER PASSWORD");
    j->file = argv[optind];
    j->user = wanted > 1 ? argv[optind + 1] : NULL;
    j->password = wanted > 2 ? argv[optind + 2] : NULL;
    if (j->user &&
        (!*j->user || strlen(j->user) > 65535 || strpbrk(j->user, ":\r\n") || strchr("# \t", *j->user)))
        return fail(EXIT_BAD_USE, "user", j->user,
                    "a name has no colon and no line end, and begins with no # or blank");
    return 0;
}

static int take_options(struct job *j, int argc, char *argv[])
{
    static const struct option long_options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
    int letter, status = 0;
    opterr = 0;
    while (status == 0 && (letter = getopt_long(argc, argv, "cbDUH:I:h", long_options, NULL)) != -1)
        status = take_option(j, letter);
    return status ? status : take_words(j, argc, argv);
}

/* ---- the password -------------------------------------------------------------------------------------- */

/* Without its line end. False: there is none. */
static bool read_line(char *out)
{
    if (!fgets(out, PASSWORD_SIZE, stdin))
        return false;
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static bool ask(const char *prompt, char *out)
{
    struct termios shown, hidden;
    bool terminal = !tcgetattr(STDIN_FILENO, &shown);
    if (!terminal)
        return read_line(out);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    fputs(prompt, stderr);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    bool ok = read_line(out);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputs("\n", stderr);
    return ok;
}

static int ask_password(struct job *j)
{
    static char first[PASSWORD_SIZE], second[PASSWORD_SIZE];
    if (j->password || j->delete || j->hash_all)
        return 0;
    if (!ask("Password: ", first) || !*first)
        return fail(EXIT_BAD_USE, "password", NULL, "none was given");
    if (isatty(STDIN_FILENO) && (!ask("Once more: ", second) || strcmp(first, second) != 0))
        return fail(EXIT_BAD_USE, "password", NULL, "the two differ; nothing was changed");
    j->password = first;
    return 0;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static bool put(struct job *j, const char *user, const char *password)
{
    char hash[MIDGE_PASSWORD_HASH_SIZE];
    const struct midge_slice p = { (const uint8_t *)password, (uint32_t)strlen(password) };
    return midge_password_hash(j->kind, j->rounds, p, hash) && fprintf(j->out, "%s:%s\n", user, hash) > 0;
}

/* A line of the old file into the new one, changed as was asked. False: `why` is what is wrong. */
static bool take_line(struct job *j, char *line, const char **why)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *colon = strchr(line, ':');
    bool kept = !*line || *line == '#';
    *why =
        kept || colon ? "no memory, or no room on the disk" : "there is no colon between a name and a hash";
    if (kept || !colon)
        return kept && fprintf(j->out, "%s\n", line) > 0;
    *colon = '\0';
    bool ours = j->user && strcmp(line, j->user) == 0;
    j->found |= ours;
    if (ours && j->delete)
        return true;
    if (ours)
        return put(j, line, j->password);
    return j->hash_all && colon[1] != '$' ? put(j, line, colon + 1)
                                          : fprintf(j->out, "%s:%s\n", line, colon + 1) > 0;
}

static bool copy_lines(struct job *j, FILE *in, char *why, size_t why_size)
{
    char *line = NULL;
    const char *what = "";
    size_t size = 0;
    unsigned number = 0;
    bool ok = true;
    while (ok && ++number && getline(&line, &size, in) >= 0)
        ok = take_line(j, line, &what);
    if (!ok)
        snprintf(why, why_size, "%s:%u: %s", j->file, number, what);
    free(line);
    return ok;
}

static bool copy_old(struct job *j, char *why, size_t why_size)
{
    FILE *in = j->create ? NULL : fopen(j->file, "re");
    if (!in) {
        snprintf(why, why_size, "%s: %s", j->file, strerror(errno));
        return j->create;
    }
    bool ok = copy_lines(j, in, why, why_size);
    fclose(in);
    return ok;
}

static bool write_new(struct job *j, char *why, size_t why_size)
{
    if (!copy_old(j, why, why_size))
        return false;
    bool adds = j->user && !j->found && !j->delete;
    snprintf(why, why_size, "%s: no memory, or no room on the disk", j->file);
    return (!adds || put(j, j->user, j->password)) && !fflush(j->out) && !fsync(fileno(j->out));
}

/* The new file belongs to whom the old one belongs to, and nobody else may read it. */
static void copy_owner(const struct job *j, int fd)
{
    struct stat st;
    if (stat(j->file, &st))
        return;
    if (fchown(fd, st.st_uid, st.st_gid))
        return; /* it is ours then, with the mode of mkstemp, 0600 */
    (void)fchmod(fd, st.st_mode & 0660);
}

static int replace(struct job *j)
{
    char why[1024], path[4096];
    if (j->create && !access(j->file, F_OK))
        return fail(EXIT_CANNOT, "file", j->file, "is there already; without -c the user is added to it");
    if ((size_t)snprintf(path, sizeof path, "%s.XXXXXX", j->file) >= sizeof path)
        return fail(EXIT_CANNOT, "file", j->file, "the path is too long");
    int fd = mkstemp(path);
    j->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!j->out)
        return fail(EXIT_CANNOT, "file", path, strerror(errno));
    copy_owner(j, fd);
    bool ok = write_new(j, why, sizeof why);
    if (ok && j->delete &&!j->found) {
        snprintf(why, sizeof why, "%s: there is no user '%.64s'", j->file, j->user);
        ok = false;
    }
    fclose(j->out);
    if (ok && !rename(path, j->file))
        return 0;
    if (ok)
        snprintf(why, sizeof why, "%s: %s", j->file, strerror(errno));
    unlink(path);
    fprintf(stderr, "midge passwd: %s\n", why);
    return EXIT_CANNOT;
}

int passwd(int argc, char *argv[])
{
    struct job j = { .kind = midge_password_best() };
    int status = take_options(&j, argc, argv);
    if (!status)
        status = ask_password(&j);
    return status < 0 ? 0 : status ? status : replace(&j);
}
