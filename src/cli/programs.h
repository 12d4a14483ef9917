/*
 * Where our own programs and the bundled connector are, seen from the running
 * executable: an installed tree (bin, libexec/aileron, share/aileron) or the
 * build folder. Neither PATH nor any other variable is asked.
 */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

#include "base/err.h"

/* Folder with aileron-broker, aileron-keeper, aileron-worker, aileron-demo-workspace. malloc'd. */
int programs_libexec(char **ret_dir, struct err *err);
/* aileron-mcp. malloc'd. */
int programs_relay(char **ret_path, struct err *err);
/* The bundled connector `name`: folder with connector.wasm, manifest.toml and actions/. malloc'd. */
int programs_connector(const char *name, char **ret_dir, struct err *err);

#endif
