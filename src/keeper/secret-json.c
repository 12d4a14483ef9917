/* See the header. Written twice: once to know the length, once into a secret of exactly that. */
#include "keeper/secret-json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

struct writer {
    uint8_t *at; /* NULL while counting */
    size_t len;
};

int secret_json_parse(const struct secret *text, json_t **ret_object, struct err *err)
{
    const struct json_limits limits = { secret_len(text), SECRET_JSON_DEPTH, SECRET_JSON_NODES };
    CLEANUP_JSON json_t *json = NULL;
    int r = json_parse((const char *) secret_bytes(text), secret_len(text), limits, &json, err);

    if (r < 0)
        return r;
    if (!json_is_object(json))
        return err_set(err, EINVAL, "not a JSON object");
    *ret_object = TAKE_PTR(json);
    return 0;
}

static int write_piece(const char *data, size_t len, void *userdata)
{
    struct writer *writer = userdata;

    if (writer->at)
        memcpy(writer->at + writer->len, data, len);
    writer->len += len;
    return 0;
}

int secret_json_write(const json_t *json, struct secret **ret_text)
{
    CLEANUP_PTR(secret_free) struct secret *text = NULL;
    struct writer writer = { NULL, 0 };
    int r = 0;

    if (json_dump_callback(json, write_piece, &writer, FLAGS) < 0)
        return -ENOMEM;
    r = secret_new(writer.len, &text);
    if (r < 0)
        return r;
    writer = (struct writer){ secret_data(text), 0 };
    if (json_dump_callback(json, write_piece, &writer, FLAGS) < 0)
        return -ENOMEM;
    *ret_text = TAKE_PTR(text);
    return 0;
}
