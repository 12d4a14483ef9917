/*
 * What the same thing costs without us, for `make bench`: each mode prints one JSON
 * object with microseconds.
 *
 *     reference append FILE BYTES COUNT sync|nosync   one appended line, with or without fdatasync
 *     reference exchange COUNT                        one line to another process and back over a socket
 *     reference spawn COUNT                           fork and exec of /bin/true, waited for
 *     reference get URL COUNT                         one GET on a kept-alive connection, with libcurl
 *     reference argon2 COUNT                          Argon2id as the vault derives its key (SPEC §1), in one thread
 */
#include "base/cleanup.h"
#include "base/clock.h"

#include <argon2.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/banned.h"

#define COUNT_MAX 200000

static int64_t times[COUNT_MAX];

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

    return x < y ? -1 : x > y;
}

static int report(size_t count)
{
    qsort(times, count, sizeof(times[0]), compare);
    printf("{\"p50_us\":%ld,\"p25_us\":%ld,\"p75_us\":%ld,\"p99_us\":%ld}\n", (long) times[count / 2], (long) times[count / 4],
        (long) times[count * 3 / 4], (long) times[count * 99 / 100]);
    return 0;
}

static int append(const char *path, size_t bytes, size_t count, int sync)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CLEANUP_FREE char *line = malloc(bytes);

    if (fd < 0 || !line)
        return 1;
    memset(line, 'x', bytes);
    for (size_t i = 0; i < count; i++) {
        int64_t start = clock_boot_us();
        if (write(fd, line, bytes) != (ssize_t) bytes || (sync && fdatasync(fd) < 0))
            return 1;
        times[i] = clock_boot_us() - start;
    }
    return report(count);
}

static int exchange(size_t count)
{
    int ends[2];
    char text[256] = "";

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return 1;
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        ssize_t got;
        while ((got = read(ends[1], text, sizeof(text))) > 0 && write(ends[1], text, (size_t) got) == got)
            ;
        _exit(0);
    }
    close(ends[1]);
    for (size_t i = 0; i < count; i++) {
        int64_t start = clock_boot_us();
        if (write(ends[0], text, sizeof(text)) != sizeof(text) || read(ends[0], text, sizeof(text)) <= 0)
            return 1;
        times[i] = clock_boot_us() - start;
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    return report(count);
}

static int spawn(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start = clock_boot_us();
        pid_t child = fork();
        if (!child) {
            execl("/bin/true", "true", (char *) NULL);
            _exit(127);
        }
        if (child < 0 || waitpid(child, NULL, 0) < 0)
            return 1;
        times[i] = clock_boot_us() - start;
    }
    return report(count);
}

static size_t discard(char *data, size_t size, size_t count, void *userdata)
{
    return size * count;
}

static int get(const char *url, size_t count)
{
    CURL *curl = curl_easy_init();

    if (!curl)
        return 1;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    for (size_t i = 0; i < count + 1; i++) { /* the first one connects and does not count */
        int64_t start = clock_boot_us();
        if (curl_easy_perform(curl) != CURLE_OK)
            return 1;
        times[i ? i - 1 : 0] = clock_boot_us() - start;
    }
    curl_easy_cleanup(curl);
    return report(count);
}

static int argon2(size_t count)
{
    uint8_t key[32], salt[16] = { 1 };
    char passphrase[] = "correct horse battery staple";
    argon2_context context = { .out = key,
        .outlen = sizeof key,
        .pwd = (uint8_t *) passphrase,
        .pwdlen = sizeof passphrase - 1,
        .salt = salt,
        .saltlen = sizeof salt,
        .t_cost = 3,
        .m_cost = 65536,
        .lanes = 4,
        .threads = 1,
        .version = ARGON2_VERSION_13 };

    for (size_t i = 0; i < count; i++) {
        int64_t start = clock_boot_us();
        if (argon2_ctx(&context, Argon2_id) != ARGON2_OK)
            return 1;
        times[i] = clock_boot_us() - start;
    }
    return report(count);
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoul(argv[argc - (argc == 6 ? 2 : 1)], NULL, 10) : 0;

    if (count && count < COUNT_MAX) {
        if (argc == 6 && !strcmp(argv[1], "append"))
            return append(argv[2], strtoul(argv[3], NULL, 10), count, !strcmp(argv[5], "sync"));
        if (argc == 3 && !strcmp(argv[1], "exchange"))
            return exchange(count);
        if (argc == 3 && !strcmp(argv[1], "spawn"))
            return spawn(count);
        if (argc == 3 && !strcmp(argv[1], "argon2"))
            return argon2(count);
        if (argc == 4 && !strcmp(argv[1], "get"))
            return get(argv[2], count);
    }
    fprintf(stderr,
        "usage: reference append FILE BYTES COUNT sync|nosync | exchange COUNT | spawn COUNT | get URL COUNT | argon2 COUNT\n");
    return 2;
}
