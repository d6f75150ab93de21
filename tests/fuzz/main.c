/* main.c - feeds a fuzz target files, or all files of folders: its corpus, or an input that broke it. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned fed;

static int feed_file(const char *path)
{
    static uint8_t bytes[1u << 20];
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return 1;
    }
    const size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    uint8_t *copy = copy_of((struct midge_slice){ bytes, (uint32_t)n });
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    fed++;
    return 0;
}

static int feed_folder(const char *path)
{
    DIR *folder = opendir(path);
    int status = folder ? 0 : 1;
    if (!folder)
        perror(path);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.')
            status |= feed_file(name);
    }
    if (folder)
        closedir(folder);
    return status;
}

int main(int argc, char **argv)
{
    int status = argc > 1 ? 0 : 2;
    for (int i = 1; i < argc; i++) {
        struct stat s;
        const bool folder = stat(argv[i], &s) == 0 && S_ISDIR(s.st_mode);
        status |= folder ? feed_folder(argv[i]) : feed_file(argv[i]);
    }
    printf("%u inputs\n", fed);
    return fed ? status : 1;
}
