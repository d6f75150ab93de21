/* soak.c - the long quiet run. */
#include "soak.h"
int soak(int argc, char **argv)
{
    (void)argc; (void)argv;
    return 0;
}
