/* tally: counts files, lines, words and bytes below folders, by extension. */
#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kind {
    char name[32];
    unsigned long files, lines, words, bytes;
};

static struct kind *kinds;
static size_t kind_count, kind_room;
static int failed;

static struct kind *kind_of(const char *extension)
{
    for (size_t i = 0; i < kind_count; i++)
        if (strcmp(kinds[i].name, extension) == 0)
            return &kinds[i];
    if (kind_count == kind_room) {
        kind_room = kind_room ? kind_room * 2 : 16;
        kinds = realloc(kinds, kind_room * sizeof *kinds);
        if (!kinds) {
            perror("tally");
            exit(1);
        }
    }
    struct kind *k = &kinds[kind_count++];
    memset(k, 0, sizeof *k);
    snprintf(k->name, sizeof k->name, "%s", extension);
    return k;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    if (type == FTW_NS || type == FTW_DNR) {
        fprintf(stderr, "tally: %s: %s\n", path, strerror(errno));
        failed = 1;
        return 0;
    }
    if (type != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    const char *name = path + where->base;
    const char *dot = strrchr(name, '.');
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "tally: %s: %s\n", path, strerror(errno));
        failed = 1;
        return 0;
    }
    struct kind *k = kind_of(dot && dot != name ? dot : "(none)");
    k->files++;
    int c, in_word = 0;
    while ((c = getc(file)) != EOF) {
        k->bytes++;
        if (c == '\n')
            k->lines++;
        if (isspace(c)) {
            in_word = 0;
        } else if (!in_word) {
            in_word = 1;
            k->words++;
        }
    }
    if (ferror(file)) {
        fprintf(stderr, "tally: %s: %s\n", path, strerror(errno));
        failed = 1;
    }
    fclose(file);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kind *)a)->name, ((const struct kind *)b)->name);
}

static void print(const struct kind *k)
{
    printf("%6lu %6lu %6lu %6lu  %s\n", k->files, k->lines, k->words, k->bytes, k->name);
}

int main(int argc, char **argv)
{
    char *here[] = {".", NULL};
    for (char **path = argc > 1 ? argv + 1 : here; *path; path++)
        if (nftw(*path, visit, 32, FTW_PHYS) != 0) {
            fprintf(stderr, "tally: %s: %s\n", *path, strerror(errno));
            failed = 1;
        }

    struct kind total = {.name = "total"};
    if (kind_count)
        qsort(kinds, kind_count, sizeof *kinds, by_name);
    printf(" files  lines  words  bytes\n");
    for (size_t i = 0; i < kind_count; i++) {
        print(&kinds[i]);
        total.files += kinds[i].files;
        total.lines += kinds[i].lines;
        total.words += kinds[i].words;
        total.bytes += kinds[i].bytes;
    }
    print(&total);
    free(kinds);
    return failed;
}
