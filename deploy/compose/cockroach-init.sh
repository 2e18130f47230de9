# Initialize the CockroachDB cluster and make the database; safe to run any number of times.
host=chronicle-cockroach-1:26257

tries=0
until said=$(cockroach init --insecure --host="$host" 2>&1); do
	case $said in *"already been initialized"*) break ;; esac
	tries=$((tries + 1))
	if [ "$tries" -ge 60 ]; then
		echo "cockroach init at $host: $said" >&2
		exit 1
	fi
	sleep 1
done

tries=0
until said=$(cockroach sql --insecure --host="$host" --execute="CREATE DATABASE IF NOT EXISTS chronicle" 2>&1); do
	tries=$((tries + 1))
	if [ "$tries" -ge 60 ]; then
		echo "creating the database at $host: $said" >&2
		exit 1
	fi
	sleep 1
done
