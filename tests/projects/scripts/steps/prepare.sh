echo "prepared with $*"
