/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/landlock-abi-priv.h>
#include <pal/landlock-priv.h>
#include <pal/streams-priv.h>
#include <pal/util-priv.h>

/* Rights that a rule on anything but a folder may have: the kernel refuses others with EINVAL. */
#define FILE_RIGHTS \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | \
		LANDLOCK_ACCESS_FS_IOCTL_DEV)

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* No MAKE_CHAR and MAKE_BLOCK: nobody who asks for a writable folder means device nodes. */
#define WRITE_RIGHTS \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_REFER | \
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		LANDLOCK_ACCESS_FS_MAKE_SYM)

#define LAST_FS_RIGHT_OF_ABI_1 LANDLOCK_ACCESS_FS_MAKE_SYM

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

/* Everything that both this kernel and this file know. */
static struct pal__landlock_ruleset_attr rights_of(int abi)
{
	struct pal__landlock_ruleset_attr attr = {
		.handled_access_fs = (LAST_FS_RIGHT_OF_ABI_1 << 1) - 1,
	};

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

int pal_landlock_new(struct pal_landlock **ret, struct pal_error *error)
{
	PAL_CLEANUP_FREE struct pal_landlock *ruleset = NULL;
	struct pal__landlock_ruleset_attr attr;
	int abi;

	if (!ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock ruleset");
	abi = pal_landlock_abi();
	if (abi < 0)
		return pal_error_set(error, PAL_STAGE_LANDLOCK, abi, "the kernel has no Landlock");
	ruleset = malloc(sizeof *ruleset);
	if (!ruleset)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "Landlock ruleset");
	attr = rights_of(abi);
	*ruleset = (struct pal_landlock){
		.fd = create_ruleset(&attr),
		.handled_fs = attr.handled_access_fs,
		.handled_net = attr.handled_access_net,
	};
	if (ruleset->fd < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, ruleset->fd, "making a Landlock ruleset");
	*ret = PAL_TAKE_POINTER(ruleset);
	return 0;
}

int pal_landlock_allow_path(
	struct pal_landlock *ruleset, const char *path, unsigned access, struct pal_error *error)
{
	const unsigned known = PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE | PAL_LANDLOCK_EXECUTE;
	struct landlock_path_beneath_attr rule = {.parent_fd = -1};
	PAL_CLEANUP_CLOSE int fd = -1;
	struct stat status;

	if (!ruleset || !path || !access || (access & ~known))
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "Landlock rule for a path");
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for %s", path);
	if (access & PAL_LANDLOCK_READ)
		rule.allowed_access |= READ_RIGHTS;
	if (access & PAL_LANDLOCK_WRITE)
		rule.allowed_access |= WRITE_RIGHTS;
	if (access & PAL_LANDLOCK_EXECUTE)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_EXECUTE;
	rule.allowed_access &= ruleset->handled_fs;
	if (!S_ISDIR(status.st_mode))
		rule.allowed_access &= FILE_RIGHTS;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return pal_error_set(
			error, PAL_STAGE_LANDLOCK, -errno, "Landlock rule for %s", path);
	return 0;
}

int pal_landlock_allow_port(
	struct pal_landlock *ruleset, uint16_t port, unsigned access, struct pal_error *error)
{
	struct pal__landlock_net_port_attr rule = {.port = port};

	if (!ruleset || !access || (access & ~(PAL_LANDLOCK_BIND | PAL_LANDLOCK_CONNECT)))
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
	return 0;
}

void pal_landlock_free(struct pal_landlock *ruleset)
{
	int saved = errno;

	if (!ruleset)
		return;
	pal_close(ruleset->fd);
	free(ruleset);
	errno = saved;
}
