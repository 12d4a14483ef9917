/*
 * The grammar of binding names and the choice of a binding. The choice never
 * guesses: two candidates without a default are an ambiguity that the person resolves.
 */
#include "binding/binding.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_lower_or_digit(char c)
{
    return is_lower(c) || (c >= '0' && c <= '9');
}

/* One segment of SPEC §1's expression: the first character's class, then the rest's. */
static bool segment_is_valid(const char *at, size_t len, bool is_kind)
{
    if (!len || !(is_kind ? is_lower(at[0]) : is_lower_or_digit(at[0])))
        return false;
    for (size_t i = 1; i < len; i++) {
        bool mark = at[i] == '_' || at[i] == '-' || (!is_kind && at[i] == '.');
        if (!mark && !is_lower_or_digit(at[i]))
            return false;
    }
    return true;
}

bool binding_name_is_valid(const char *name)
{
    if (strlen(name) >= BINDING_NAME_MAX)
        return false;
    for (unsigned part = 0; part < 3; part++) {
        size_t len = strcspn(name, "/");

        if (!segment_is_valid(name, len, part == 0) || name[len] != (part < 2 ? '/' : '\0'))
            return false;
        name += len + (part < 2);
    }
    return true;
}

static bool fits(const json_t *binding, const char *connector_fqn, const char *kind)
{
    const char *name = json_get_str(binding, "binding"), *fqn = json_get_str(binding, "connector_fqn");
    const char *own_kind = json_get_str(binding, "kind");

    return name && fqn && own_kind && binding_name_is_valid(name) && !strcmp(fqn, connector_fqn) && !strcmp(own_kind, kind);
}

static bool has_status(const json_t *binding, const char *status)
{
    const char *own = json_get_str(binding, "status");

    return own && !strcmp(own, status);
}

static bool is_default(const json_t *binding)
{
    const json_t *mark = json_object_get(binding, "default");
    const char *text = json_string_value(mark);

    return json_is_true(mark) || (text && !strcmp(text, "true"));
}

bool binding_identity_is_valid(const char *identity)
{
    size_t len = strlen(identity);

    return len < BINDING_NAME_MAX && segment_is_valid(identity, len, false);
}

/* `wanted` is the whole name or its last part; NULL wants any. */
static bool is_wanted(const json_t *binding, const char *wanted)
{
    const char *name = json_get_str(binding, "binding");

    return !wanted || !strcmp(strchr(wanted, '/') ? name : strrchr(name, '/') + 1, wanted);
}

/* What the one that was found is good for. Only an open vault knows of its grant. */
static enum binding_choice judge(const json_t *binding, char ret_name[BINDING_NAME_MAX])
{
    const char *status = json_get_str(binding, "status"), *reason = json_get_str(binding, "stale_reason");

    snprintf(ret_name, BINDING_NAME_MAX, "%s", json_get_str(binding, "binding"));
    if (has_status(binding, "revoked"))
        return BINDING_REVOKED;
    if ((reason && !strcmp(reason, "no_grant_record")) || json_is_false(json_object_get(binding, "granted")))
        return BINDING_NO_GRANT;
    return !status || !strcmp(status, "active") ? BINDING_CHOSEN : BINDING_STALE;
}

enum binding_choice binding_choose(
    const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted, char ret_name[BINDING_NAME_MAX])
{
    const json_t *binding, *only = NULL, *preferred = NULL, *revoked = NULL;
    size_t i, all = 0, defaults = 0;

    snprintf(ret_name, BINDING_NAME_MAX, "%s", wanted ? wanted : "");
    json_array_foreach(bindings, i, binding)
    {
        if (!fits(binding, connector_fqn, kind) || !is_wanted(binding, wanted))
            continue;
        if (has_status(binding, "revoked")) {
            revoked = binding;
            continue;
        }
        only = binding;
        all++;
        if (is_default(binding)) {
            preferred = binding;
            defaults++;
        }
    }
    if (!all)
        return revoked ? judge(revoked, ret_name) : BINDING_NONE;
    if (defaults == 1)
        return judge(preferred, ret_name);
    return all > 1 ? BINDING_AMBIGUOUS : judge(only, ret_name);
}

size_t binding_candidates(const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted,
    char ret_text[BINDING_CANDIDATES_MAX])
{
    const json_t *binding;
    size_t i, all = 0, used = 0, shown = 0;

    ret_text[0] = '\0';
    json_array_foreach(bindings, i, binding)
    {
        if (!fits(binding, connector_fqn, kind) || !is_wanted(binding, wanted) || has_status(binding, "revoked"))
            continue;
        const char *name = json_get_str(binding, "binding");
        /* Room is kept for how many are not shown. */
        if (shown == all && used + strlen(name) + 2 < BINDING_CANDIDATES_MAX - 32) {
            used += (size_t) snprintf(ret_text + used, BINDING_CANDIDATES_MAX - used, "%s%s", shown ? ", " : "", name);
            shown++;
        }
        all++;
    }
    if (all > shown)
        snprintf(ret_text + used, BINDING_CANDIDATES_MAX - used, " and %zu more", all - shown);
    return all;
}
