/* near.h - the name that was probably meant. */
#ifndef MIDGE_APP_NEAR_H
#define MIDGE_APP_NEAR_H

#include <stddef.h>

#define NEAR_LIMIT 3u /* a distance from which on two names have nothing to do with each other */

/* How many letters have to be put in, taken out or changed to make `name` of the `len` letters at `typed`; 1 when
 * these begin it; NEAR_LIMIT when it is far. */
size_t near_distance(const char *typed, size_t len, const char *name);

#endif
