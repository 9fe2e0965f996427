/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Reads files whole, then lets inih take the configuration apart. See files.h.
 */
#include "daemon/io/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/io/promptfiles.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define MAIN_FILE   "mulmd.conf"
#define DROP_IN_DIR "mulmd.conf.d"
#define PROMPTS_DIR "prompts"

#define CONFIG_MAX   (64u << 10) /* bytes of one configuration file */
#define DROP_INS_MAX 256         /* files, of all trees */
#define KEY_MAX      (4u << 10)  /* bytes of a key file */
#define SECTION_MAX  49          /* bytes of a section's name: inih cuts what is longer */

static void closep(int *fd)
{
        if (*fd >= 0)
                (void)close(*fd);
}

static void wipe_buf(struct buf *buf)
{
        if (buf->data)
                explicit_bzero(buf->data, buf->capacity);
        buf_done(buf);
}

/* Appends a sentence on a line of its own and returns `code`, or -ENOMEM. */
static int refuse(struct buf *error, int code, const char *path, const char *sentence)
{
        int r = buf_printf(error, "%s%s: %s", error->n > 0 ? "\n" : "", path, sentence);

        return r < 0 ? r : code;
}

static int open_regular(const char *path, struct stat *ret_status, struct buf *error)
{
        /* Without O_NONBLOCK a FIFO would block until somebody writes to it. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        int code;

        if (fd < 0)
                return refuse(error, -errno, path, strerror(errno));
        if (fstat(fd, ret_status) < 0)
                code = -errno;
        else if (S_ISDIR(ret_status->st_mode))
                code = -EISDIR;
        else if (!S_ISREG(ret_status->st_mode))
                code = -EINVAL;
        else
                return fd;
        (void)close(fd);
        return refuse(error, code, path, code == -EINVAL ? "not a regular file" : strerror(-code));
}

static int read_all(int fd, const char *path, size_t max, struct buf *content, struct buf *error)
{
        size_t start = content->n;

        for (;;) {
                size_t rest = max + 1 - (content->n - start);
                ssize_t n;
                int r = buf_reserve(content, MIN(rest, (size_t)4096));

                if (r < 0)
                        return r;
                n = read(fd, content->data + content->n, MIN(rest, (size_t)4096));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = refuse(error, -errno, path, strerror(errno));
                if (n > 0)
                        buf_truncate(content, content->n + (size_t)n);
                if (content->n - start > max)
                        r = refuse(error, -EFBIG, path, "file too large");
                if (r < 0)
                        buf_truncate(content, start);
                if (r < 0 || n == 0)
                        return r;
        }
}

int files_read(const char *path, size_t max, struct buf *content, struct buf *error)
{
        struct stat status;
        _cleanup_(closep) int fd = open_regular(path, &status, error);

        return fd < 0 ? fd : read_all(fd, path, max, content, error);
}

/*
 * Configuration. inih reads lines of at most INI_MAX_LINE bytes, 200 as Debian builds it, and leaves the rest out;
 * and it takes an indented line for more of the value before it. So our reader drops the indentation of the file's
 * own lines, and hands a long line over in pieces, the second and further ones indented: they come back as more of
 * the value.
 */
struct config {
        struct settings *settings;
        struct buf *error;
        const char *path;
        struct buf text;  /* the file */
        size_t offset;    /* of the first byte that inih has not seen */
        unsigned line;    /* the line inih is at */
        struct buf lines; /* of unsigned: the line that each call of the reader gave a piece of */
        bool in_line;     /* `offset` is inside a line */

        struct buf section, key, value; /* the assignment that is being collected */
        unsigned key_line;              /* 0: none */
        int r;                          /* the worst so far; 0, -EINVAL, or an error that ends it all */
};

static void config_done(struct config *config)
{
        buf_done(&config->text);
        buf_done(&config->lines);
        buf_done(&config->section);
        buf_done(&config->key);
        buf_done(&config->value);
}

static void config_refuse(struct config *config, unsigned line, const char *sentence)
{
        struct settings_place place = { config->path, line };
        int r = buf_printf(config->error, "%s%s:%u: %s", config->error->n > 0 ? "\n" : "", place.file, place.line,
                           sentence);

        config->r = r < 0 ? r : -EINVAL;
}

/* Hands the collected assignment on. */
static void config_flush(struct config *config)
{
        struct settings_place place = { config->path, config->key_line };
        int r;

        if (config->key_line == 0 || (config->r < 0 && config->r != -EINVAL))
                return;
        config->key_line = 0;
        r = settings_set(config->settings, buf_string(&config->section), buf_string(&config->key),
                         buf_string(&config->value), &place, config->error);
        if (r < 0)
                config->r = r;
}

static int config_assign(void *userdata, const char *section, const char *name, const char *value)
{
        struct config *config = userdata;
        int r = 0;

        if (config->key_line != config->line) {
                config_flush(config);
                buf_clear(&config->section);
                buf_clear(&config->key);
                buf_clear(&config->value);
                config->key_line = config->line;
                r = buf_add_string(&config->section, section);
                if (r >= 0)
                        r = buf_add_string(&config->key, name);
        }
        if (r >= 0)
                r = buf_add_string(&config->value, value);
        if (r < 0)
                config->r = r;
        return 1;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

/* How much of a line that is longer than `max` can be handed over: inih strips blanks off both ends of a piece and
 * takes one that begins with ; or # for a comment. 0 where the line has no place to cut it. */
static size_t find_cut(const char *text, size_t max)
{
        for (size_t n = max; n > max / 2; n--)
                if (!is_blank(text[n - 1]) && !is_blank(text[n]) && text[n] != ';' && text[n] != '#')
                        return n;
        return 0;
}

static void config_begin_line(struct config *config)
{
        const char *text = config->text.data;

        config->line++;
        while (is_blank(text[config->offset]))
                config->offset++;
        if (text[config->offset] == '[' && strcspn(text + config->offset, "]\n") > SECTION_MAX + 1)
                config_refuse(config, config->line, "the section's name is too long");
}

/* For inih: like fgets(). */
static char *config_read(char *piece, int size, void *userdata)
{
        struct config *config = userdata;
        size_t indent = config->in_line ? 1 : 0, max = (size_t)size - indent - 2, n;
        const char *text;

        if (config->offset >= config->text.n || size < 16 || (config->r < 0 && config->r != -EINVAL))
                return NULL;
        if (!config->in_line)
                config_begin_line(config);
        text = config->text.data + config->offset;
        n = strcspn(text, "\n");
        if (buf_add(&config->lines, &config->line, sizeof(config->line)) < 0) {
                config->r = -ENOMEM;
                return NULL;
        }

        config->in_line = n > max;
        if (n > max) {
                bool is_comment = indent == 0 && (text[0] == ';' || text[0] == '#');

                n = is_comment ? 0 : find_cut(text, max);
                if (n == 0) {
                        if (!is_comment)
                                config_refuse(config, config->line, "the line is too long");
                        config->offset += strcspn(text, "\n");
                        config->in_line = false;
                        text = config->text.data + config->offset;
                }
        }
        memset(piece, ' ', indent);
        memcpy(piece + indent, text, n);
        piece[indent + n] = '\n';
        piece[indent + n + 1] = '\0';
        config->offset += n;
        if (!config->in_line && config->offset < config->text.n)
                config->offset++;
        return piece;
}

static int load_file(struct settings *settings, const char *path, struct buf *error)
{
        _cleanup_(config_done) struct config config = { .settings = settings, .error = error, .path = path };
        size_t offset;
        int r = files_read(path, CONFIG_MAX, &config.text, error);

        if (r < 0 || config.text.n == 0)
                return r;
        if (!utf8_is_valid(config.text.data, config.text.n, &offset) ||
            (offset = strlen(config.text.data)) < config.text.n) {
                for (size_t i = 0; i <= offset; i++)
                        config.line += i == 0 || config.text.data[i - 1] == '\n';
                config_refuse(&config, config.line, "not UTF-8 text");
                return config.r;
        }

        r = ini_parse_stream(config_read, &config, config_assign, &config);
        config_flush(&config);
        if (r == -2 || config.r == -ENOMEM)
                return -ENOMEM;
        if (r > 0 && (size_t)r <= config.lines.n / sizeof(unsigned))
                config_refuse(&config, ((const unsigned *)(const void *)config.lines.data)[r - 1],
                              "neither [Section], Key=value nor a comment");
        return config.r;
}

/* A file that stands for nothing: empty, or a link to /dev/null. It still hides those of the same name below it. */
static bool is_masked(const char *path)
{
        struct stat status;

        if (stat(path, &status) < 0)
                return false;
        if (S_ISCHR(status.st_mode))
                return status.st_rdev == makedev(1, 3);
        return S_ISREG(status.st_mode) && status.st_size == 0;
}

static int load_unless_masked(struct settings *settings, const char *path, struct buf *error)
{
        return is_masked(path) ? 0 : load_file(settings, path, error);
}

/* The drop-ins of all trees by name: of one name, only that of the strongest tree. */
struct drop_in {
        char *name, *path;
};

struct drop_ins {
        struct drop_in items[DROP_INS_MAX];
        size_t n;
};

static void drop_ins_freep(struct drop_ins **drop_ins)
{
        for (size_t i = 0; *drop_ins && i < (*drop_ins)->n; i++) {
                free((*drop_ins)->items[i].name);
                free((*drop_ins)->items[i].path);
        }
        free(*drop_ins);
}

static int compare_drop_ins(const void *a, const void *b)
{
        return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

static int add_drop_in(struct drop_ins *drop_ins, const char *directory, const char *name, struct buf *error)
{
        _cleanup_(buf_done) struct buf path = BUF_NULL;
        struct drop_in *item = NULL;

        for (size_t i = 0; i < drop_ins->n && !item; i++)
                if (strcmp(drop_ins->items[i].name, name) == 0)
                        item = &drop_ins->items[i];
        if (!item && drop_ins->n == DROP_INS_MAX)
                return refuse(error, -E2BIG, directory, "too many drop-ins");
        if (buf_printf(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        if (!item) {
                item = &drop_ins->items[drop_ins->n];
                item->name = strdup(name);
                if (!item->name)
                        return -ENOMEM;
                drop_ins->n++;
        }
        free(item->path);
        item->path = buf_steal(&path);
        return 0;
}

static bool is_drop_in(const char *name)
{
        size_t n = strlen(name), n_suffix = strlen(".conf");

        return name[0] != '.' && n > n_suffix && strcmp(name + n - n_suffix, ".conf") == 0;
}

static int find_drop_ins(struct drop_ins *drop_ins, const char *tree, struct buf *error)
{
        _cleanup_(buf_done) struct buf directory = BUF_NULL;
        struct dirent *entry;
        DIR *dir;
        int r = buf_printf(&directory, "%s/" DROP_IN_DIR, tree);

        if (r < 0)
                return r;
        dir = opendir(directory.data);
        if (!dir)
                return errno == ENOENT ? 0 : refuse(error, -errno, directory.data, strerror(errno));
        while (r >= 0 && (entry = readdir(dir)) != NULL)
                if (is_drop_in(entry->d_name))
                        r = add_drop_in(drop_ins, directory.data, entry->d_name, error);
        (void)closedir(dir);
        return r;
}

/* The strongest tree's main file, if any tree has one. */
static int load_main_file(struct settings *settings, const char *const *trees, size_t n_trees, struct buf *error)
{
        for (size_t i = n_trees; i > 0; i--) {
                _cleanup_(buf_done) struct buf path = BUF_NULL;
                int r = buf_printf(&path, "%s/" MAIN_FILE, trees[i - 1]);

                if (r < 0)
                        return r;
                if (access(path.data, F_OK) < 0 && errno == ENOENT)
                        continue;
                return load_unless_masked(settings, path.data, error);
        }
        return 0;
}

/* Of two results the one to report: what the system said counts for more than a wrong value. */
static int worse(int a, int b)
{
        return a == 0 || (a == -EINVAL && b < 0) ? b : a;
}

static int load_tree_prompts(struct settings *settings, const char *tree, struct buf *error)
{
        _cleanup_(buf_done) struct buf folder = BUF_NULL;
        int r = buf_printf(&folder, "%s/" PROMPTS_DIR, tree);

        return r < 0 ? r : promptfiles_load(&settings->prompts, folder.data, false, error);
}

/* Those of the folder that the configuration names. */
static int load_own_prompts(struct settings *settings, struct buf *error)
{
        return settings->prompts_path ? promptfiles_load(&settings->prompts, settings->prompts_path, true, error) : 0;
}

int files_load_settings_from(struct settings *settings, const char *const *trees, struct buf *error)
{
        _cleanup_(drop_ins_freep) struct drop_ins *drop_ins = calloc(1, sizeof(*drop_ins));
        size_t n_trees = 0;
        int r;

        if (!drop_ins)
                return -ENOMEM;
        while (trees[n_trees])
                n_trees++;

        r = load_main_file(settings, trees, n_trees, error);
        for (size_t i = 0; i < n_trees; i++)
                r = worse(r, find_drop_ins(drop_ins, trees[i], error));
        qsort(drop_ins->items, drop_ins->n, sizeof(drop_ins->items[0]), compare_drop_ins);
        for (size_t i = 0; i < drop_ins->n; i++)
                r = worse(r, load_unless_masked(settings, drop_ins->items[i].path, error));
        for (size_t i = 0; i < n_trees; i++)
                r = worse(r, load_tree_prompts(settings, trees[i], error));
        r = worse(r, load_own_prompts(settings, error));
        return r < 0 ? r : settings_check(settings, error);
}

int files_load_settings(struct settings *settings, const char *path, struct buf *error)
{
        static const char *const trees[] = { "/usr/lib/mulm", "/run/mulm", "/etc/mulm", NULL };
        int r;

        if (!path)
                return files_load_settings_from(settings, trees, error);
        r = load_file(settings, path, error);
        r = worse(r, load_own_prompts(settings, error));
        return r < 0 ? r : settings_check(settings, error);
}

/* Trims the key; refuses what cannot stand in a header (RFC 9110, section 5.5). */
static int add_key(struct buf *key, const char *text, size_t n, const char *path, struct buf *error)
{
        while (n > 0 && (is_blank(text[0]) || text[0] == '\n')) {
                text++;
                n--;
        }
        while (n > 0 && (is_blank(text[n - 1]) || text[n - 1] == '\n'))
                n--;
        if (n == 0)
                return refuse(error, -EINVAL, path, "holds no key");
        for (size_t i = 0; i < n; i++)
                if (text[i] < ' ' || text[i] >= 0x7f)
                        return refuse(error, -EINVAL, path, "the key must be one line of printable ASCII");
        return buf_add(key, text, n);
}

/* The credential's path, or the key file's. */
static int find_key(const struct settings_endpoint *endpoint, struct buf *path, struct buf *error)
{
        const char *directory, *name = endpoint->key_credential;

        if (!name)
                return buf_add_string(path, endpoint->key_file);
        if (strchr(name, '/') || name[0] == '.')
                return refuse(error, -EINVAL, name, "not the name of a credential");
        directory = getenv("CREDENTIALS_DIRECTORY");
        if (!directory)
                return refuse(error, -ENOENT, name, "the service manager has passed no credentials");
        return buf_printf(path, "%s/%s", directory, name);
}

int files_read_key(const struct settings_endpoint *endpoint, struct buf *key, struct buf *error)
{
        _cleanup_(buf_done) struct buf path = BUF_NULL;
        _cleanup_(wipe_buf) struct buf content = BUF_NULL;
        _cleanup_(closep) int fd = -1;
        struct stat status;
        int r;

        if (!endpoint->key_credential && !endpoint->key_file)
                return 0;
        r = find_key(endpoint, &path, error);
        if (r < 0)
                return r;
        fd = open_regular(path.data, &status, error);
        if (fd < 0)
                return fd;

        /* systemd guards credentials by their directory and by an ACL, whose mask shows up as the group's bits. */
        if (!endpoint->key_credential && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
                return refuse(error, -EPERM, path.data, "group and others must have no access to a key (chmod 0600)");

        /* All at once, so that no copy stays behind when the buffer grows. */
        r = buf_reserve(&content, KEY_MAX + 1 + 4096);
        if (r >= 0)
                r = read_all(fd, path.data, KEY_MAX, &content, error);
        return r < 0 ? r : add_key(key, buf_string(&content), content.n, path.data, error);
}
