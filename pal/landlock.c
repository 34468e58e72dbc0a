/* SPDX-License-Identifier: MIT */
#include <pal/landlock.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/landlock-abi-priv.h>
#include <pal/landlock-priv.h>
#include <pal/streams-priv.h>
#include <pal/util-priv.h>

/* Rights that a rule on anything but a folder may have: the kernel refuses others with EINVAL. */
#define FILE_RIGHTS                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                       \
		LANDLOCK_ACCESS_FS_IOCTL_DEV)

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* No MAKE_CHAR and MAKE_BLOCK: nobody who asks for a writable folder means device nodes. */
#define WRITE_RIGHTS                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_REFER |  \
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                   \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                      \
		LANDLOCK_ACCESS_FS_MAKE_SYM)

#define LAST_FS_RIGHT_OF_ABI_1 LANDLOCK_ACCESS_FS_MAKE_SYM
#define FINE_RIGHT_SHIFT 8 /* from the kernel's bits to PAL_LANDLOCK_WRITE_FILE and on */

#define ABI_OF_AUDIT 7
#define KNOWN_PORT_RIGHTS (PAL_LANDLOCK_BIND | PAL_LANDLOCK_CONNECT)
#define KNOWN_SCOPES (PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS | PAL_LANDLOCK_SCOPE_SIGNALS)
#define AUDIT_FLAGS                                                                                \
	(PAL_LANDLOCK_NO_AUDIT | PAL_LANDLOCK_AUDIT_EXECUTED | PAL_LANDLOCK_NO_AUDIT_SUBDOMAINS)

int pal_landlock_abi(void)
{
	int saved = errno;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0) {
		abi = -errno;
		errno = saved;
	}
	return (int)abi;
}

/* Everything that both this kernel and this file know; nothing for a negative `abi`. */
static struct pal__landlock_ruleset_attr rights_of(int abi)
{
	struct pal__landlock_ruleset_attr attr = {0};

	if (abi >= 1)
		attr.handled_access_fs = (LAST_FS_RIGHT_OF_ABI_1 << 1) - 1;
	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 4)
		attr.handled_access_net =
			LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
	if (abi >= 5)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	if (abi >= 6)
		attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	return attr;
}

/* A descriptor, close-on-exec and above 2, or a negative errno. */
static int create_ruleset(const struct pal__landlock_ruleset_attr *attr)
{
	long fd = syscall(SYS_landlock_create_ruleset, attr, sizeof *attr, 0);

	return fd < 0 ? -errno : pal__fd_lift((int)fd);
}

int pal__landlock_border(void)
{
	/* before ABI 6 a ruleset must be about files: about what takes a privilege to make */
	struct pal__landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK,
	};
	int abi = pal_landlock_abi();

	if (abi < 0)
		return abi;
	if (abi >= 6)
		attr = (struct pal__landlock_ruleset_attr){.scoped = LANDLOCK_SCOPE_SIGNAL};
	return create_ruleset(&attr);
}

static uint64_t kernels_file_rights(uint64_t access)
{
	uint64_t rights = access >> FINE_RIGHT_SHIFT;

	if (access & PAL_LANDLOCK_READ)
		rights |= READ_RIGHTS;
	if (access & PAL_LANDLOCK_WRITE)
		rights |= WRITE_RIGHTS;
	if (access & PAL_LANDLOCK_EXECUTE)
		rights |= LANDLOCK_ACCESS_FS_EXECUTE;
	return rights;
}

/* As single rights. */
static uint64_t our_file_rights(uint64_t rights)
{
	uint64_t access = (rights & ~LANDLOCK_ACCESS_FS_EXECUTE) << FINE_RIGHT_SHIFT;

	return rights & LANDLOCK_ACCESS_FS_EXECUTE ? access | PAL_LANDLOCK_EXECUTE : access;
}

static bool are_file_rights(uint64_t access)
{
	return !(access & ~(uint64_t)(PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE |
				      PAL_LANDLOCK_ALL_FILE_RIGHTS));
}

/* ---- rulesets ---- */

/* Without anything to handle there is no ruleset in the kernel. */
static int make(const struct pal__landlock_ruleset_attr *attr, struct pal_landlock **ret,
	struct pal_error *error)
{
	PAL_CLEANUP_FREE struct pal_landlock *ruleset = malloc(sizeof *ruleset);

	if (!ruleset)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "Landlock ruleset");
	*ruleset = (struct pal_landlock){
		.fd = -1,
		.handled_fs = attr->handled_access_fs,
		.handled_net = attr->handled_access_net,
		.scopes = attr->scoped,
		.words = pal__landlock_words_new(),
	};
	if (!ruleset->words)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "Landlock ruleset");
	if (attr->handled_access_fs | attr->handled_access_net | attr->scoped) {
		ruleset->fd = create_ruleset(attr);
		if (ruleset->fd < 0) {
			pal__landlock_words_unref(ruleset->words);
			return pal_error_set(error, PAL_STAGE_LANDLOCK, ruleset->fd,
				"making a Landlock ruleset");
		}
	}
	*ret = PAL_TAKE_POINTER(ruleset);
	return 0;
}

int pal_landlock_new(struct pal_landlock **ret, struct pal_error *error)
{
	struct pal__landlock_ruleset_attr attr;
	int abi;

	if (!ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock ruleset");
	abi = pal_landlock_abi();
	if (abi < 0)
		return pal_error_set(error, PAL_STAGE_LANDLOCK, abi, "the kernel has no Landlock");
	attr = rights_of(abi);
	return make(&attr, ret, error);
}

/* Takes what the kernel does not know out of *asked. */
static struct pal_landlock_rights leave_out(struct pal__landlock_ruleset_attr *asked, int abi)
{
	const struct pal__landlock_ruleset_attr known = rights_of(abi);
	const struct pal_landlock_rights missing = {
		.files = our_file_rights(asked->handled_access_fs & ~known.handled_access_fs),
		.ports = asked->handled_access_net & ~known.handled_access_net,
		.scopes = asked->scoped & ~known.scoped,
	};

	asked->handled_access_fs &= known.handled_access_fs;
	asked->handled_access_net &= known.handled_access_net;
	asked->scoped &= known.scoped;
	return missing;
}

static bool is_any(const struct pal_landlock_rights *rights)
{
	return rights->files | rights->ports | rights->scopes;
}

static int make_custom(const struct pal__landlock_ruleset_attr *asked, unsigned flags,
	struct pal_landlock **ret, struct pal_error *error)
{
	struct pal__landlock_ruleset_attr attr = *asked;
	int abi = pal_landlock_abi(), result;
	struct pal_landlock_rights missing = leave_out(&attr, abi);
	struct pal_landlock *ruleset;
	bool audit = flags & AUDIT_FLAGS, can_audit = abi >= ABI_OF_AUDIT;

	if (!(flags & PAL_LANDLOCK_BEST_EFFORT)) {
		if (abi < 0)
			return pal_error_set(
				error, PAL_STAGE_LANDLOCK, abi, "the kernel has no Landlock");
		if (is_any(&missing) || (audit && !can_audit))
			return pal_error_set(error, PAL_STAGE_LANDLOCK, -EOPNOTSUPP,
				"the kernel has Landlock ABI %d, which is not enough", abi);
	}
	result = make(&attr, &ruleset, error);
	if (result < 0)
		return result;
	ruleset->missing = missing;
	if (can_audit) /* the kernel's bits are in the same order */
		ruleset->restrict_flags = (flags & AUDIT_FLAGS) / PAL_LANDLOCK_NO_AUDIT;
	*ret = ruleset;
	return 0;
}

int pal_landlock_new_handling(uint64_t files, uint64_t ports, uint64_t scopes, unsigned flags,
	struct pal_landlock **ret, struct pal_error *error)
{
	const struct pal__landlock_ruleset_attr asked = {
		.handled_access_fs = kernels_file_rights(files),
		.handled_access_net = ports,
		.scoped = scopes,
	};

	if (!ret || !(files | ports | scopes) || !are_file_rights(files) ||
		(ports & ~(uint64_t)KNOWN_PORT_RIGHTS) || (scopes & ~(uint64_t)KNOWN_SCOPES) ||
		(flags & ~(PAL_LANDLOCK_BEST_EFFORT | AUDIT_FLAGS)))
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock ruleset");
	return make_custom(&asked, flags, ret, error);
}

bool pal_landlock_missing(const struct pal_landlock *ruleset, struct pal_landlock_rights *ret)
{
	if (!ruleset || !is_any(&ruleset->missing))
		return false;
	if (ret)
		*ret = ruleset->missing;
	return true;
}

/* ---- rules ---- */

/* `name` is for messages. */
static int allow(struct pal_landlock *ruleset, int fd, const char *name, unsigned access,
	struct pal_error *error)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	uint64_t rights = kernels_file_rights(access);
	struct stat status;

	if (fstat(fd, &status) < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for %s", name);
	if (!S_ISDIR(status.st_mode))
		rights &= FILE_RIGHTS;
	if (!rights)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -ENOTDIR, "Landlock rule for %s", name);
	rule.allowed_access = rights & ruleset->handled_fs;
	if (!rule.allowed_access) /* nothing of it is denied */
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for %s", name);
	return 0;
}

static bool is_rule(const struct pal_landlock *ruleset, unsigned access)
{
	return ruleset && access && are_file_rights(access);
}

/* What was allowed, with `result`, in words. */
static int record(struct pal_landlock *ruleset, const char *path, unsigned access, int result,
	struct pal_error *error)
{
	if (result < 0)
		return result;
	result = pal__landlock_words_add(ruleset->words, path, -1, access);
	return result < 0 ? pal_error_set(error, PAL_STAGE_MEMORY, result, "Landlock rule") : 0;
}

int pal_landlock_allow_path(
	struct pal_landlock *ruleset, const char *path, unsigned access, struct pal_error *error)
{
	PAL_CLEANUP_CLOSE int fd = -1;

	if (!path || !is_rule(ruleset, access))
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock rule for a path");
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for %s", path);
	return record(ruleset, path, access, allow(ruleset, fd, path, access, error), error);
}

int pal_landlock_allow_fd(
	struct pal_landlock *ruleset, int fd, unsigned access, struct pal_error *error)
{
	char name[40];

	if (!is_rule(ruleset, access))
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock rule for a descriptor");
	snprintf(name, sizeof name, "descriptor %d", fd);
	return record(ruleset, name, access, allow(ruleset, fd, name, access, error), error);
}

int pal_landlock_allow_port(
	struct pal_landlock *ruleset, uint16_t port, unsigned access, struct pal_error *error)
{
	struct pal__landlock_net_port_attr rule = {.port = port};

	if (!ruleset || !access || (access & ~KNOWN_PORT_RIGHTS))
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock rule for a port");
	if (access & PAL_LANDLOCK_BIND)
		rule.allowed_access |= LANDLOCK_ACCESS_NET_BIND_TCP;
	if (access & PAL_LANDLOCK_CONNECT)
		rule.allowed_access |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
	rule.allowed_access &= ruleset->handled_net;
	if (!rule.allowed_access) /* before ABI 4: nothing is denied */
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset->fd, PAL__LANDLOCK_RULE_NET_PORT, &rule, 0) < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for port %u", port);
	if (pal__landlock_words_add(ruleset->words, NULL, port, access) < 0)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "Landlock rule");
	return 0;
}

void pal_landlock_free(struct pal_landlock *ruleset)
{
	int saved = errno;

	if (!ruleset)
		return;
	pal_close(ruleset->fd);
	pal__landlock_words_unref(ruleset->words);
	free(ruleset);
	errno = saved;
}
