/* words.h - bytes as words of a line: %XX for what is not plain ASCII, or divides words. */
#ifndef MIDGE_APP_WORDS_H
#define MIDGE_APP_WORDS_H

#include "midge/midge_types.h"

#include <stdio.h>

void words_put(FILE *out, struct midge_slice bytes);
/* In place: the slice lies in `word`. */
struct midge_slice words_get(char *word);

#endif
