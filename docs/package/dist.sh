#!/bin/sh
# Makes bin/dist/*.deb and *.rpm of bin/glancefs. VERSION is what the packages
# are called; one that does not begin with a digit, such as a commit's, is put
# behind 0 and the commit's date.
set -eu
cd "$(dirname "$0")/../.."
go=${GO:-go}
version=${VERSION#v}
case $version in
[0-9]*.*) ;;
*) version=0.$(git log -1 --format=%cd --date=format:%Y%m%d.%H%M 2>/dev/null || date +%Y%m%d.%H%M)+$version ;;
esac
VERSION=$(echo "$version" | tr -- '-' '.') # a hyphen ends the version, for both
ARCH=$($go env GOARCH)
export VERSION ARCH
rm -rf bin/dist
mkdir -p bin/dist
./bin/glancefs man docs/package/glancefs.8.md | gzip -9n >bin/dist/glancefs.8.gz
./bin/glancefs man --fish >bin/dist/glancefs.fish
for p in deb rpm; do
	$go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2 package -f docs/package/nfpm.yaml -p $p -t bin/dist
done
