/* passwd.h - `midge passwd`: accounts in a password file. */
#ifndef MIDGE_APP_PASSWD_H
#define MIDGE_APP_PASSWD_H

/* argv[0] is "passwd". The exit status. */
int passwd(int argc, char *argv[]);

#endif
