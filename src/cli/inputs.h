/* The declared inputs of an action, for people. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "base/json.h"

#include <stdio.h>

/* A heading and one line an input: name, type, whether it may be left out, description. Nothing when there are none. */
void inputs_print(FILE *file, const json_t *inputs);
/* "usage: aileron action run NAME --arg to=TEXT [--arg cc=TEXT]…", then the inputs. */
void inputs_usage(FILE *file, const char *name, const json_t *inputs);

#endif
