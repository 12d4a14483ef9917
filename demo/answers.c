/* Google's error envelope, and reading the numbers of a query. */
#include "answers.h"

#include <stdlib.h>

#include "base/banned.h"

static const char *status_name(int status)
{
    static const struct {
        int status;
        const char *name;
    } NAMES[] = {
        { 400, "INVALID_ARGUMENT" },
        { 401, "UNAUTHENTICATED" },
        { 404, "NOT_FOUND" },
        { 405, "UNIMPLEMENTED" },
        { 413, "OUT_OF_RANGE" },
    };

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (NAMES[i].status == status)
            return NAMES[i].name;
    return "INTERNAL";
}

int answer_error(int status, const char *message, json_t **ret)
{
    *ret = json_pack("{s:{s:i,s:s,s:s}}", "error", "code", status, "message", message, "status", status_name(status));
    return status;
}

size_t answer_count(const json_t *query, const char *name, size_t otherwise, size_t max)
{
    const char *text = json_get_str(query, name);
    char *end;
    unsigned long value;

    if (!text || *text < '0' || *text > '9')
        return otherwise;
    value = strtoul(text, &end, 10);
    return *end || !value ? otherwise : value > max ? max : value;
}
