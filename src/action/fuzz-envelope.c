/*
 * Fuzzes what surrounds a connector's run: the text on its stdout, and the
 * rendering of a template by arguments, which makes its stdin. The input is cut
 * at the first NUL: before it the envelope or template, after it the arguments.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "action/action.h"
#include "action/failure.h"
#include "action/template.h"
#include "base/json.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_envelope(const char *text, size_t len)
{
    struct failure failure = FAILURE_INIT;
    CLEANUP_JSON json_t *output = NULL, *shown = NULL;
    int r = failure_read_envelope(text, len, &output, &failure);

    require(r == 0 || r == 1);
    require((r == 0) == json_is_object(output));
    if (r == 1) {
        shown = failure_to_json(&failure, NULL);
        require(shown && failure.class != FAILURE_NONE && failure.message[0] && failure.boundary);
        for (const char *c = failure.message; *c; c++)
            require((unsigned char) *c >= 0x20 && *c != 0x7f);
    }
    failure_clear(&failure);
}

static void check_render(const char *text, size_t len, const char *args_text, size_t args_len)
{
    CLEANUP_JSON json_t *template = NULL, *args = NULL, *value = NULL;
    struct err err = ERR_INIT;

    /* A template comes out of TOML: at most 32 deep. */
    if (json_parse(text, len, (struct json_limits){ 65536, 32, 10000 }, &template, NULL) < 0)
        return;
    if (json_parse(args_text, args_len, JSON_LIMITS(1024 * 1024), &args, NULL) < 0)
        return;
    if (action_render(template, args, &value, &err) < 0)
        require(err.message[0] != '\0' && !value);
    else
        require(value && template_measure(value, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *) data;
    const char *cut = size ? memchr(text, '\0', size) : NULL;

    check_envelope(text, cut ? (size_t) (cut - text) : size);
    if (cut)
        check_render(text, (size_t) (cut - text), cut + 1, size - (size_t) (cut - text) - 1);
    return 0;
}
