/* soak.h - the long quiet run. */
#ifndef MIDGE_SIM_SOAK_H
#define MIDGE_SIM_SOAK_H

/* Arguments: days=D or hours=H, clients=N. Returns the status of the program. */
int soak(int argc, char **argv);

#endif
