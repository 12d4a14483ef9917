/*
 * Tests of the resolver against a small name server of our own on loopback: answers,
 * failures, sharing of questions, time to live, cancelling from inside an answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "keeper/resolve.h"

#include "base/banned.h"

enum { TYPE_A = 1, TYPE_AAAA = 28 };

/* name, time to live, IPv4 addresses ("" = no such name, NULL = no answer at all) */
static const struct {
    const char *name;
    uint32_t ttl;
    const char *address;
} zone[] = {
    { "good.test", 60, "93.184.216.34" },
    { "short.test", 0, "93.184.216.34" },
    { "private.test", 60, "169.254.169.254" },
    { "none.test", 60, "" },
    { "silent.test", 60, NULL },
};

static int server = -1;
static char servers[32];
static atomic_uint asked;

static size_t name_read(const uint8_t *query, size_t len, char *out, size_t size)
{
    size_t at = 12, n = 0;

    while (at < len && query[at] && n + query[at] + 2 < size) {
        memcpy(out + n, query + at + 1, query[at]);
        n += query[at];
        out[n++] = '.';
        at += query[at] + 1u;
    }
    out[n ? n - 1 : 0] = '\0';
    return at + 5;
}

/* Makes the answer in place; its length, 0 for none. */
static size_t answer_make(uint8_t *packet, size_t len, size_t size)
{
    static const uint8_t head[] = { 0xc0, 0x0c, 0, TYPE_A, 0, 1 };
    char name[128];
    size_t end = name_read(packet, len, name, sizeof name), i = 0;
    uint16_t type = end <= len ? (uint16_t) (packet[end - 4] << 8 | packet[end - 3]) : 0;
    uint32_t ttl = 0;

    while (i < ARRAY_LEN(zone) && strcasecmp(zone[i].name, name) != 0)
        i++;
    if (end > len || i == ARRAY_LEN(zone) || !zone[i].address || end + 16 > size)
        return 0;
    packet[2] = 0x81;
    packet[3] = zone[i].address[0] ? 0x80 : 0x83;
    memset(packet + 6, 0, 6);
    if (type == TYPE_A && zone[i].address[0]) {
        packet[7] = 1;
        ttl = htonl(zone[i].ttl);
        memcpy(packet + end, head, sizeof head);
        memcpy(packet + end + 6, &ttl, 4);
        packet[end + 10] = 0;
        packet[end + 11] = 4;
        inet_pton(AF_INET, zone[i].address, packet + end + 12);
        end += 16;
    }
    return end;
}

static void *serve(void *argument)
{
    for (;;) {
        uint8_t packet[1024];
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof peer;
        ssize_t n = recvfrom(server, packet, sizeof packet, 0, (struct sockaddr *) &peer, &peer_len);
        size_t len = n > 12 ? answer_make(packet, (size_t) n, sizeof packet) : 0;

        atomic_fetch_add(&asked, 1);
        if (len > 0)
            sendto(server, packet, len, 0, (struct sockaddr *) &peer, peer_len);
    }
    return NULL;
}

static int setup(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    pthread_t thread;

    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (server < 0 || bind(server, (struct sockaddr *) &at, sizeof at) < 0 ||
        getsockname(server, (struct sockaddr *) &at, &len) < 0)
        return -1;
    snprintf(servers, sizeof servers, "127.0.0.1:%u", (unsigned) ntohs(at.sin_port));
    return pthread_create(&thread, NULL, serve, NULL) == 0 ? pthread_detach(thread) : -1;
}

struct asking {
    struct loop *loop;
    struct resolver *resolver;
    unsigned wanted; /* answers until the loop stops */
    unsigned answers;
    struct address_list list;
    char reason[256];
    struct resolve_wait *cancel; /* another question, dropped inside the answer */
};

static void on_answer(const struct address_list *list, const char *reason, void *userdata)
{
    struct asking *asking = userdata;

    asking->answers++;
    asking->list = list ? *list : (struct address_list){ .len = 0 };
    snprintf(asking->reason, sizeof asking->reason, "%s", reason ? reason : "");
    resolve_cancel(TAKE_PTR(asking->cancel));
    if (asking->answers == asking->wanted)
        loop_stop(asking->loop);
}

static void asking_start(struct asking *asking)
{
    *asking = (struct asking){ .wanted = 1 };
    atomic_store(&asked, 0);
    assert_int_equal(loop_new(&asking->loop, NULL), 0);
    assert_int_equal(resolver_new(asking->loop, servers, &asking->resolver, NULL), 0);
}

static void asking_stop(struct asking *asking)
{
    resolver_free(asking->resolver);
    loop_free(asking->loop);
}

/* Asks and waits; 1 when the answer was known at once. */
static int ask(struct asking *asking, const char *name)
{
    struct resolve_wait *wait = NULL;
    int r = resolver_ask(asking->resolver, name, on_answer, asking, &asking->list, &wait);

    asking->answers = 0;
    if (r == 0)
        assert_int_equal(loop_run(asking->loop), 0);
    return r;
}

static void test_answer_and_cache(void **state)
{
    struct asking asking;
    char text[ADDRESS_TEXT_MAX];
    unsigned before = 0;

    asking_start(&asking);
    assert_int_equal(ask(&asking, "good.test"), 0);
    assert_int_equal(asking.list.len, 1);
    assert_string_equal(address_format(&asking.list.items[0], text), "93.184.216.34");
    before = atomic_load(&asked);
    assert_int_equal(ask(&asking, "good.test"), 1);
    assert_int_equal(asking.list.len, 1);
    assert_int_equal(atomic_load(&asked), before);
    assert_int_equal(ask(&asking, "short.test"), 0);
    before = atomic_load(&asked);
    assert_int_equal(ask(&asking, "short.test"), 0);
    assert_true(atomic_load(&asked) > before);
    /* The resolver tells what it was told; the address rules are the caller's. */
    assert_int_equal(ask(&asking, "private.test"), 0);
    assert_string_equal(address_format(&asking.list.items[0], text), "169.254.169.254");
    asking_stop(&asking);
}

static void test_failures(void **state)
{
    struct asking asking;
    unsigned before = 0;

    asking_start(&asking);
    assert_int_equal(ask(&asking, "none.test"), 0);
    assert_int_equal(asking.list.len, 0);
    assert_string_equal(asking.reason, "the name has no address");
    before = atomic_load(&asked);
    assert_int_equal(ask(&asking, "none.test"), 0);
    assert_true(atomic_load(&asked) > before);
    asking_stop(&asking);
}

static void test_shared_question(void **state)
{
    struct asking asking;
    struct resolve_wait *waits[8];
    struct address_list list;
    unsigned single = 0;

    asking_start(&asking);
    assert_int_equal(ask(&asking, "short.test"), 0);
    single = atomic_load(&asked);
    asking.answers = 0;
    asking.wanted = 6;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        assert_int_equal(resolver_ask(asking.resolver, "short.test", on_answer, &asking, &list, &waits[i]), 0);
    resolve_cancel(waits[3]);
    asking.cancel = waits[0]; /* served last */
    assert_int_equal(loop_run(asking.loop), 0);
    assert_int_equal(asking.answers, 6);
    assert_int_equal(atomic_load(&asked), 2 * single);
    asking_stop(&asking);
}

static void test_open_questions_at_the_end(void **state)
{
    struct asking asking;
    struct resolve_wait *wait = NULL;
    struct address_list list;
    char name[32];

    asking_start(&asking);
    for (int i = 0; i < RESOLVE_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "silent%d.test", i);
        assert_int_equal(resolver_ask(asking.resolver, name, on_answer, &asking, &list, &wait), 0);
    }
    assert_int_equal(resolver_ask(asking.resolver, "silent.test", on_answer, &asking, &list, &wait), -105);
    asking_stop(&asking);
    assert_int_equal(asking.answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_and_cache),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_shared_question),
        cmocka_unit_test(test_open_questions_at_the_end),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
