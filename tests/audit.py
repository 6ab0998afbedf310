"""`python -m tests.audit`: are vulnerabilities known of anything that is installed here?

pip-audit ends in the same way whether it has found some or could not ask. Only the first is a
reason to stop: where nobody can be asked, as without a network, that is said, and all is well.
"""

import json
import subprocess
import sys

COMMAND = ["-m", "pip_audit", "--format=json", "--progress-spinner=off", "--timeout=10"]

# A hundred packages take a quarter of a minute; longer is a network that drops packets.
PATIENCE = 180.0


def verdict(told: str) -> tuple[int, str]:
    """Judge by what pip-audit wrote: an exit code, and a line for each thing to know."""
    try:
        packages = json.loads(told)["dependencies"]
    except ValueError:
        return 0, "cannot audit: pip-audit is not here, or its database does not answer"
    lines = [
        f"{package['name']} {package['version']}: {known['id']}, mended in "
        f"{', '.join(known['fix_versions']) or 'no version yet'}"
        for package in packages
        for known in package.get("vulns", ())
    ]
    code = 1 if lines else 0
    asked = sum("vulns" in package for package in packages)
    if asked:
        lines.append(f"audited {asked} of {len(packages)} packages")
    else:
        lines.append(f"cannot audit: the database knows none of {len(packages)} packages")
    return code, "\n".join(lines)


def main() -> None:
    """Ask, tell, and leave with 1 for what is known to be vulnerable."""
    try:
        asked = subprocess.run(
            [sys.executable, *COMMAND], capture_output=True, text=True, timeout=PATIENCE
        )
        told = asked.stdout
    except subprocess.TimeoutExpired:
        told = ""
    code, text = verdict(told)
    sys.stdout.write(f"{text}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
