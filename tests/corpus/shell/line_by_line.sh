# Adds up and rewrites the lines of a table with expr and sed.
sum=0
seq 1 400 | sed 's/$/ item/' | {
    while read -r number name; do
        sum=$(expr "$sum" + "$number")
        name=$(echo "$name" | sed 's/item/part/')
    done
    echo "$sum $name"
}
