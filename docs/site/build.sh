#!/usr/bin/env bash
# build.sh PYTHON: the documents as a static site in bin/site. The pages of the
# repository's root move beside those of docs/, so their links change. A warning,
# such as a dead link or a page that is in no menu, is an error.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=bin/site-source
rm -rf "$source" bin/site
mkdir -p "$source"
cp -r docs/*.md docs/figures docs/images "$source"
for page in *.md; do
  name=$page
  [ "$page" = README.md ] && name=index.md
  sed 's#](docs/#](#g' "$page" >"$source/$name"
done
repository=https://github.com/penstock-llm/penstock/blob/main
sed -i -E -e 's#\]\(\.\./((bench|internal|deploy|test)/[^)]*)\)#]('"$repository"'/\1)#g' \
  -e 's#\]\(\.\./([A-Z_]+\.md)#](\1#g' -e 's#\]\(README\.md#](index.md#g' -e 's#\]\(LICENSE\)#]('"$repository"'/LICENSE)#g' "$source"/*.md
NO_MKDOCS_2_WARNING=1 "$1" -m mkdocs build --strict -f docs/site/mkdocs.yml
echo "the site is in bin/site: $(find bin/site -name '*.html' | wc -l) pages"
