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

static bool is_usable(const json_t *binding)
{
    const char *status = json_get_str(binding, "status");

    return !status || !strcmp(status, "active");
}

static bool is_default(const json_t *binding)
{
    const json_t *mark = json_object_get(binding, "default");
    const char *text = json_string_value(mark);

    return json_is_true(mark) || (text && !strcmp(text, "true"));
}

static enum binding_choice chosen(const json_t *binding, char ret_name[BINDING_NAME_MAX])
{
    snprintf(ret_name, BINDING_NAME_MAX, "%s", json_get_str(binding, "binding"));
    return is_usable(binding) ? BINDING_CHOSEN : BINDING_UNUSABLE;
}

enum binding_choice binding_choose(
    const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted, char ret_name[BINDING_NAME_MAX])
{
    const json_t *binding, *only = NULL, *preferred = NULL;
    size_t i, usable = 0, all = 0, defaults = 0;

    ret_name[0] = '\0';
    json_array_foreach(bindings, i, binding)
    {
        if (!fits(binding, connector_fqn, kind))
            continue;
        if (wanted && !strcmp(json_get_str(binding, "binding"), wanted))
            return chosen(binding, ret_name);
        if (!only || is_usable(binding))
            only = binding;
        if (is_default(binding)) {
            preferred = binding;
            defaults++;
        }
        all++;
        usable += is_usable(binding);
    }
    if (wanted || !all) {
        snprintf(ret_name, BINDING_NAME_MAX, "%s", wanted ? wanted : "");
        return BINDING_NONE;
    }
    if (defaults == 1)
        return chosen(preferred, ret_name);
    if (usable > 1 || (!usable && all > 1))
        return BINDING_AMBIGUOUS;
    return chosen(only, ret_name);
}
