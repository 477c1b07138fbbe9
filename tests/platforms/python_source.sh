# build_python SUITE VERSION FOLDER [ARGUMENT OF CONFIGURE…]: builds CPython from the source in a suite of Debian, for
# builds that Debian does not have.
build_python() {
    local suite=$1 version=$2 folder=$3
    [ ! -e "$folder/bin/python$version" ] || return 0
    if ! compgen -G "/output/sources/python${version}_*.orig.tar.xz" > /dev/null; then
        echo "deb-src http://deb.debian.org/debian $suite main" > /etc/apt/sources.list.d/source.list
        apt-get update -qq -o Acquire::Check-Valid-Until=false
        mkdir -p /output/sources
        (cd /output/sources && apt-get source -qq -o APT::Sandbox::User=root --download-only "python$version")
    fi
    rm -rf "$folder-build"
    mkdir "$folder-build"
    (
        cd "$folder-build"
        tar -xf "/output/sources/python${version}"_*.orig.tar.xz --strip-components=1
        { ./configure --quiet --prefix="$folder" --without-ensurepip --disable-test-modules "${@:4}" &&
            make -s -j"$(nproc)" install; } > build.log 2>&1 || { tail -n 30 build.log; exit 1; }
    )
}
