/* consumer.c - makes a broker in a block of its own memory, says its version, gives everything back. */
#include <midge/midge.h>
#include <stdio.h>

static _Alignas(max_align_t) unsigned char block[64 * 1024];

int main(void)
{
    struct midge_memory memory;
    if (!midge_arena_memory(block, sizeof block, &memory))
        return 1;
    struct midge_config config = { .memory = &memory };
    struct midge *m = midge_new(&config, 0);
    if (!m)
        return 2;
    midge_free(m);
    puts(MIDGE_VERSION);
    return 0;
}
