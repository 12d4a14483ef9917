/* An open vault of its own for tests and fuzzers that need one, in a folder that goes away with the program. */
#ifndef KEEPER_TEST_VAULT_MAKE_H
#define KEEPER_TEST_VAULT_MAKE_H

#include "keeper/vault.h"

/* Empty and open; aborts when it cannot. The caller frees it. */
struct vault *test_vault_make(void);
/* A binding whose grant is this JSON, with this value: for oauth2 its access token, else the key. */
void test_vault_bind(struct vault *vault, const char *binding, const char *grant, const char *value);

#endif
