/*
 * Feeds a fuzzer's corpus to its target without libFuzzer: each file of the
 * folders named as arguments, in memory of exactly its length. So every build,
 * sanitized or not, meets what the fuzzers once found.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint8_t *data;
    int r = -1;

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(name);
        return -1;
    }
    data = malloc(st.st_size ? (size_t) st.st_size : 1);
    if (data && read(fd, data, (size_t) st.st_size) == st.st_size) {
        LLVMFuzzerTestOneInput(data, (size_t) st.st_size);
        r = 0;
    }
    free(data);
    close(fd);
    return r;
}

/* The number of files replayed, or -1. */
static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (!folder) {
        perror(path);
        return -1;
    }
    while (count >= 0 && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            count = replay_file(dirfd(folder), entry->d_name) < 0 ? -1 : count + 1;
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
