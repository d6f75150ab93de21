/* serve.h - the broker as a service: started by a configuration, changed by SIGHUP, ended by SIGTERM. */
#ifndef MIDGE_APP_SERVE_H
#define MIDGE_APP_SERVE_H

#include "options.h"

#include <stddef.h>

#define EXIT_CANNOT_SERVE 1
#define EXIT_BAD_OPTION 2

/* Until it ends; the exit status. What is wrong stands on standard error, one line. */
int serve(const struct options *o);
/* `midge --check`: the exit status. */
int serve_check(const struct options *o);

#endif
