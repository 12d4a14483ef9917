/* The door to credential sources, and the source that has none. */
#include "keeper/vault.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

#include "base/banned.h"

static enum keeper_vault_state missing_state(const struct vault *vault)
{
    return KEEPER_VAULT_MISSING;
}

static int missing_lend(
    struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    err_set(err, ENOENT, "there is no binding %s: the keeper has no credentials yet", binding);
    return VAULT_NO_BINDING;
}

static int missing_describe(const struct vault *vault, json_t *list)
{
    return 0;
}

static void missing_free(struct vault *vault)
{
    free(vault);
}

static const struct vault_source missing_source = { missing_state, missing_lend, missing_describe, missing_free };

int vault_missing(struct vault **ret_vault, struct err *err)
{
    struct vault *vault = calloc(1, sizeof *vault);

    if (!vault)
        return err_set(err, ENOMEM, "out of memory");
    vault->source = &missing_source;
    *ret_vault = vault;
    return 0;
}

enum keeper_vault_state vault_state(const struct vault *vault)
{
    return vault->source->state(vault);
}

int vault_lend(struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    struct vault_loan loan = { NULL, NULL };
    int r = vault->source->lend(vault, binding, connector_fqn, &loan, err);

    if (r != 0)
        return r;
    /* A source that errs must not lend to the wrong connector: asked again here, for all of them. */
    if (!grant_is_for(loan.grant, connector_fqn)) {
        err_set(err, EACCES, "the binding %s was not granted to this connector", binding);
        return VAULT_NO_BINDING;
    }
    *ret_loan = loan;
    return 0;
}

json_t *vault_describe(const struct vault *vault)
{
    CLEANUP_JSON json_t *list = json_array();

    if (!list || vault->source->describe(vault, list) < 0)
        return NULL;
    return TAKE_PTR(list);
}

void vault_free(struct vault *vault)
{
    if (vault)
        vault->source->free(vault);
}

json_t *vault_describe_binding(const char *binding, const struct grant *grant, const char *status)
{
    CLEANUP_JSON json_t *origins = json_array();
    const char *service = strchr(binding, '/') + 1, *identity = strchr(service, '/') + 1;

    for (size_t i = 0; origins && i < grant->origins_len; i++)
        if (json_array_append_new(origins, json_string(grant->origins[i])) < 0)
            return NULL;
    if (!origins)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:s%, s:s, s:s, s:O}", "binding", binding, "connector_fqn", grant->connector_fqn, "kind",
        grant_kind_name(grant->kind), "service", service, (size_t) (identity - 1 - service), "identity", identity, "status",
        status, "origins", origins);
}
