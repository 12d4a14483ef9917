/*
 * What an ordinary C program expects of its C library: streams, buffering, time,
 * sleep, randomness, files that are not there. Prints the first thing that is not so and exits 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define CHECK(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                              \
            exit(1);                                                                                                             \
        }                                                                                                                        \
    } while (0)

static double now(clockid_t id)
{
    struct timespec t;

    CHECK(clock_gettime(id, &t) == 0);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void check_input(void)
{
    char text[64];

    CHECK(fgets(text, sizeof(text), stdin) && strcmp(text, "first line\n") == 0);
    CHECK(fgets(text, sizeof(text), stdin) && strcmp(text, "second") == 0);
    CHECK(!fgets(text, sizeof(text), stdin) && feof(stdin));
    CHECK(fseek(stdin, 0, SEEK_SET) == -1 && errno == ESPIPE);
    CHECK(lseek(1, 0, SEEK_CUR) == -1 && errno == ESPIPE);
    CHECK(!isatty(0) && !isatty(1) && !isatty(2));
}

static void check_files(void)
{
    CHECK(!fopen("/etc/passwd", "r"));
    CHECK(open("x", O_WRONLY | O_CREAT, 0600) == -1);
    CHECK(!environ || !environ[0]);
    CHECK(!getenv("PATH") && !getenv("SECRET"));
    CHECK(write(0, "x", 1) == -1 && errno == EBADF);
    CHECK(write(7, "x", 1) == -1 && errno == EBADF);
}

static void check_time(void)
{
    struct timespec wait = { 0, 20000000 };
    struct pollfd ready = { .fd = 0, .events = POLLIN };
    double begin = now(CLOCK_MONOTONIC);
    unsigned char a[32], b[32];

    CHECK(now(CLOCK_REALTIME) > 1.7e9);
    CHECK(nanosleep(&wait, NULL) == 0);
    CHECK(now(CLOCK_MONOTONIC) - begin >= 0.02 && now(CLOCK_MONOTONIC) - begin < 2);
    CHECK(poll(&ready, 1, 1000) == 1);
    CHECK(getentropy(a, sizeof(a)) == 0 && getentropy(b, sizeof(b)) == 0 && memcmp(a, b, sizeof(a)) != 0);
}

int main(int argc, char **argv)
{
    void *big = malloc(20 << 20);

    CHECK(argc == 0 || (argc == 1 && argv[0][0] == 0));
    CHECK(big);
    memset(big, 1, 20 << 20);
    free(big);
    check_input();
    check_files();
    check_time();
    for (int i = 0; i < 1000; i++)
        printf("%d\n", i);
    fprintf(stderr, "to standard error\n");
    return 0;
}
