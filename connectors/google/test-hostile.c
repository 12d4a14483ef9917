/*
 * Answers and arguments that are not what they should be, made from good ones:
 * every value in turn replaced by one of another type, every byte in turn gone or
 * another. Whatever comes, the connector must end with an answer of its own, and a
 * message may only be sent if everything that was checked before held.
 */
#include "test-google.h"

#include "samples.h"

#include <stdlib.h>

static const char *const others[] = { "null", "true", "-7", "1e999", "99999999999999999999", "\"\"",
    "\"\\u0000\\ud800\\n\\\"<>&=?\"", "[]", "{}", "[[],{},0,null]",
    "{\"id\":[],\"name\":{},\"value\":0,\"data\":true,\"size\":\"x\",\"message\":1}" };

struct mutation {
    struct {
        char *data;
        size_t len, cap;
    } out;
    unsigned index, target;
    const char *other;
};

static void add(struct mutation *m, const char *bytes, size_t len)
{
    if (m->out.len + len + 1 > m->out.cap) {
        m->out.cap = 2 * (m->out.len + len + 1);
        m->out.data = realloc(m->out.data, m->out.cap);
        assert_non_null(m->out.data);
    }
    memcpy(m->out.data + m->out.len, bytes, len);
    m->out.len += len;
    m->out.data[m->out.len] = '\0';
}

static void add_str(struct mutation *m, const char *text)
{
    add(m, text, strlen(text));
}

static void add_quoted(struct mutation *m, const char *text)
{
    add_str(m, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            add_str(m, "\\");
        if (*text == '\n')
            add_str(m, "\\n");
        else
            add(m, text, 1);
    }
    add_str(m, "\"");
}

/* Writes `json` with the target-th value replaced. */
static void mutate(struct mutation *m, const struct aileron_json *json)
{
    const char *brackets = json->type == AILERON_ARRAY ? "[]" : "{}";

    if (m->index++ == m->target) {
        add_str(m, m->other);
        return;
    }
    switch (json->type) {
    case AILERON_STRING:
        add_quoted(m, json->text);
        return;
    case AILERON_NUMBER:
        add_str(m, json->text);
        return;
    case AILERON_NULL:
    case AILERON_BOOL:
        add_str(m, json->type == AILERON_NULL ? "null" : json->boolean ? "true" : "false");
        return;
    case AILERON_ARRAY:
    case AILERON_OBJECT:
        add(m, brackets, 1);
        for (const struct aileron_json *child = json->first; child; child = child->next) {
            if (child->key) {
                add_quoted(m, child->key);
                add_str(m, ":");
            }
            mutate(m, child);
            if (child->next)
                add_str(m, ",");
        }
        add(m, brackets + 1, 1);
    }
}

/* Calls `use` for every variant of a JSON text in which one value was replaced. */
static void each_variant(
    const char *text, void (*use)(const struct sample *, int, const char *), const struct sample *sample, int which)
{
    struct mutation m = { 0 };

    for (bool more = true; more; m.target++) {
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            fake_host_reset();
            m.other = others[i];
            m.index = 0;
            m.out.len = 0;
            mutate(&m, fake_host_parse(text, strlen(text)));
            more = m.index > m.target;
            if (more)
                use(sample, which, m.out.data);
        }
    }
    free(m.out.data);
}

/* Runs a sample with one answer replaced. */
static void with_answer(const struct sample *sample, int which, const char *answer)
{
    fake_host_reset();
    for (int i = 0; i < 2 && sample->answers[i]; i++)
        fake_host_answer(200, i == which ? answer : sample->answers[i]);
    fake_host_run(sample->operation, sample->args);
    if (strcmp(sample->operation, "send_draft") == 0 && which == 0 && fake_host_requests() == 2)
        assert_non_null(strstr(answer, "\"message\":{\"id\":\"m1\"}"));
}

static void with_args(const struct sample *sample, int which, const char *args)
{
    fake_host_reset();
    for (int i = 0; i < 2 && sample->answers[i]; i++)
        fake_host_answer(200, sample->answers[i]);
    fake_host_run(sample->operation, args);
}

static void the_samples_are_good(void **state)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        fake_host_reset();
        for (int k = 0; k < 2 && samples[i].answers[k]; k++)
            fake_host_answer(200, samples[i].answers[k]);
        must_run(samples[i].operation, samples[i].args);
        assert_int_equal(fake_host_requests(), samples[i].answers[1] ? 2 : 1);
    }
}

static void survives_values_of_other_types(void **state)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < 2 && samples[i].answers[k]; k++)
            each_variant(samples[i].answers[k], with_answer, &samples[i], k);
        each_variant(samples[i].args, with_args, &samples[i], 0);
    }
}

static void survives_broken_bytes(void **state)
{
    static const char bytes[] = { '\0', '"', '}', '\\', (char) 0xff };

    for (size_t i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < 2 && samples[i].answers[k]; k++) {
            size_t len = strlen(samples[i].answers[k]);
            char *answer = calloc(1, len + 1);

            assert_non_null(answer);
            for (size_t at = 0; at < len; at += 1 + len / 150) {
                for (size_t b = 0; b < sizeof(bytes); b++) {
                    memcpy(answer, samples[i].answers[k], len);
                    answer[at] = bytes[b];
                    with_answer(&samples[i], k, answer);
                }
            }
            free(answer);
        }
    }
}

/* Every operation ends as it must when a request fails, whichever it is. */
static void passes_failures_on(void **state)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        for (size_t failing = 0; failing < 2 && samples[i].answers[failing]; failing++) {
            for (int status = 400; status <= 503; status += 103) {
                fake_host_reset();
                for (size_t k = 0; k < failing; k++)
                    fake_host_answer(200, samples[i].answers[k]);
                fake_host_answer(status, "{\"error\":{\"message\":\"m\"}}");
                assert_null(fake_host_run(samples[i].operation, samples[i].args));
                assert_string_equal(fake_host_error_class(), "external_api_error");
                assert_int_equal(number_of(aileron_json_get(fake_host_error(), "details"), "status"), status);
                assert_int_equal(fake_host_requests(), failing + 1);
            }
            fake_host_reset();
            for (size_t k = 0; k < failing; k++)
                fake_host_answer(200, samples[i].answers[k]);
            fake_host_refuse(-1);
            assert_null(fake_host_run(samples[i].operation, samples[i].args));
            assert_string_equal(fake_host_error_class(), "network_error");
        }
    }
}

/* Reading operations never change anything, whatever they are told. */
static void reads_with_get_only(void **state)
{
    static const char *const reading[] = { "list_recent_emails", "get_email", "list_drafts", "get_draft", "list_upcoming_events",
        "preview_calendar_event" };

    for (size_t i = 0; i < SAMPLES; i++) {
        bool reads = false;

        for (size_t k = 0; k < sizeof(reading) / sizeof(reading[0]); k++)
            reads = reads || strcmp(samples[i].operation, reading[k]) == 0;
        fake_host_reset();
        for (int k = 0; k < 2 && samples[i].answers[k]; k++)
            fake_host_answer(200, samples[i].answers[k]);
        must_run(samples[i].operation, samples[i].args);
        for (size_t n = 0; n < fake_host_requests(); n++) {
            const char *method = fake_host_request(n, "method");

            assert_int_equal(strcmp(method, "GET") == 0, reads || n + 1 < fake_host_requests());
            assert_int_equal(fake_host_request(n, "body") != NULL, strcmp(method, "POST") == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(the_samples_are_good), TEST(survives_values_of_other_types),
        TEST(survives_broken_bytes), TEST(passes_failures_on), TEST(reads_with_get_only) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
