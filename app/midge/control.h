/* control.h - `midge ctl`: asks a running broker through its control socket. */
#ifndef MIDGE_APP_CONTROL_H
#define MIDGE_APP_CONTROL_H

#define CONTROL_SOCKET "/run/midge/control.sock"

/* argv[0] is "ctl". The exit status. */
int ctl(int argc, char *argv[]);

#endif
