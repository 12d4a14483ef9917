/* Inputs as a table and as a usage line; both from the same declaration. */
#include "cli/inputs.h"

#include "cli/table.h"

#include <string.h>

#include "base/banned.h"

static const char *placeholder(const char *type)
{
    static const struct {
        const char *type, *shown;
    } SHOWN[] = {
        { "string", "TEXT" },
        { "integer", "N" },
        { "number", "N" },
        { "boolean", "true|false" },
        { "object", "JSON" },
    };

    for (size_t i = 0; type && i < ARRAY_LEN(SHOWN); i++)
        if (!strcmp(SHOWN[i].type, type))
            return SHOWN[i].shown;
    return "VALUE";
}

static bool is_optional(const json_t *input)
{
    return json_is_false(json_object_get(input, "required"));
}

static const char *text_of(const json_t *input, const char *key)
{
    const char *text = json_get_str(input, key);

    return text ? text : "";
}

void inputs_print(FILE *file, const json_t *inputs)
{
    static const struct table_column COLUMNS[] = { { "INPUT", false, 0 }, { "TYPE", false, 0 }, { "", false, 0 },
        { "DESCRIPTION", false, 20 } };
    CLEANUP_PTR(table_free) struct table *table = table_new(COLUMNS, ARRAY_LEN(COLUMNS));
    const json_t *input;
    size_t i;

    if (!table || !json_array_size(inputs))
        return;
    json_array_foreach((json_t *) inputs, i, input)
    {
        bool array = !strcmp(text_of(input, "type"), "array");

        table_row(table);
        table_cell_style(table, text_of(input, "name"), STYLE_BOLD);
        if (array)
            table_cellf(table, "%s, several", json_get_str(input, "items_type") ? json_get_str(input, "items_type") : "string");
        else
            table_cell(table, text_of(input, "type"));
        table_cell_style(table, is_optional(input) ? "optional" : "", STYLE_DIM);
        table_cell(table, text_of(input, "description"));
    }
    fputc('\n', file);
    table_print(table, file, term_width(file));
}

void inputs_usage(FILE *file, const char *name, const json_t *inputs)
{
    const json_t *input;
    size_t i;

    fprintf(file, "usage: aileron action run ");
    term_put(file, name);
    json_array_foreach((json_t *) inputs, i, input)
    {
        bool array = !strcmp(text_of(input, "type"), "array");
        const char *type = array ? json_get_str(input, "items_type") : json_get_str(input, "type");

        fprintf(file, is_optional(input) ? " [--arg " : " --arg ");
        term_put(file, text_of(input, "name"));
        fprintf(file, "=%s%s", placeholder(array && !type ? "string" : type), is_optional(input) ? "]" : "");
        if (array)
            fputs("…", file);
    }
    fputc('\n', file);
    inputs_print(file, inputs);
}
