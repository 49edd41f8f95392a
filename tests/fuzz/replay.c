/*
 * Runs a fuzz target over the files of the given folders (and over given files), without a fuzzer:
 * what libFuzzer once found stays found under every compiler and sanitizer, in an ordinary test.
 *
 * Each file is read into a block of exactly its length, so that one byte read beyond the input is
 * caught; an input of no bytes gets a block of one, as libFuzzer's are never NULL. Files are taken
 * in the order of their names. A folder without a file is an error: a replay that replayed nothing
 * has not passed.
 *
 * Deliberately not here: mutation, minimisation, timing. The fuzzer does these.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || info.st_size < 0) {
        perror(path);
        fclose(file);
        return -1;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: cannot be read whole\n", path);
        free(data);
        fclose(file);
        return -1;
    }
    fclose(file);
    /* Named before it runs: a crash leaves the culprit as the last line. */
    printf("%s\n", path);
    fflush(stdout);
    int result = LLVMFuzzerTestOneInput(data, size);
    free(data);
    return result == 0 || result == -1 ? 0 : -1;
}

static int replay_is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Returns how many files were replayed, or -1. */
static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int found = scandir(folder, &entries, replay_is_shown, alphasort);
    if (found < 0) {
        perror(folder);
        return -1;
    }
    int done = 0;
    for (int i = 0; i < found; i++) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (done >= 0) {
            done = len > 0 && (size_t)len < sizeof path && replay_file(path) == 0 ? done + 1 : -1;
        }
        free(entries[i]);
    }
    free(entries);
    return done;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        int is_folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);
        int done = is_folder ? replay_folder(argv[i]) : replay_file(argv[i]) == 0 ? 1 : -1;
        if (done <= 0) {
            fprintf(stderr, "replay: %s: %s\n", argv[i], done == 0 ? "no input in it" : "failed");
            return 1;
        }
        total += done;
    }
    printf("replayed %d inputs\n", total);
    return total > 0 ? 0 : 1;
}
